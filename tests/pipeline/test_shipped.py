"""Every shipped YAML file, and the example in the documentation, against the code that it configures."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from wsss.errors import InvalidInput
from wsss.pipeline.config.presets import with_presets
from wsss.pipeline.config.resources import names, shipped
from wsss.pipeline.config.source import read_yaml
from wsss.pipeline.config.spec import Spec, load_spec
from wsss.pipeline.plan.graph import build_jobs
from wsss.pipeline.plan.job import Job
from wsss.stages import STAGES
from wsss.validation import validate

PIPELINES = names(shipped("pipelines"))
PRESETS = names(shipped("configs"))
CONTINUED = {"voc_animals_supervised": "voc_animals", "topomortar_weak_again": "topomortar_weak"}
"""Pipelines that continue in the run directory of another one."""


def test_pipelines_and_presets_are_shipped() -> None:
    assert PIPELINES
    assert PRESETS


def test_ablation_measures_the_photograph_pipeline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The scores of the variant are given as those of ``voc_animals`` (docs/results.md)."""
    monkeypatch.chdir(tmp_path)
    pipeline, ablation = (planned(load_spec(name, STAGES)) for name in ("voc_animals", "mask_ablation"))
    maps = ["classify", "expand", "cam", "pseudo-sure", "crf-sure", "affinity", "propagate", "pseudo"]
    for name in [*maps, "segment", "calibrate", "predict-crf"]:
        seed = "seed=0" if name == "classify" else "variant=clamp-single,seed=0"
        measured = ablation[f"{'predict-calibrated-crf' if name == 'predict-crf' else name}@{seed}"].config
        assert pipeline[name].config.model_copy(update={"val": None}) == measured.model_copy(update={"val": None}), name


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_can_be_planned_and_reports_show_images_of_every_stage(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any working directory, with the files that the user provides.

    Every stage with maps or masks covers a split of the report.
    """
    monkeypatch.chdir(tmp_path)
    spec = load_spec(name, STAGES)
    assert spec.name == CONTINUED.get(name, name)
    assert spec.description
    jobs = planned(spec)
    assert jobs
    for report in [job for job in jobs.values() if job.stage.name == "report" and job.config.splits]:
        made = [jobs[need] for need in report.needs if jobs[need].stage.provides in ("cams", "masks")]
        columns = report.config.columns or ("*",)
        for job in [one for one in made if any(fnmatchcase(one.id, pattern) for pattern in columns)]:
            pairs = [(split, other) for split in job.config.splits for other in report.config.splits]
            assert any(f"{other}-".startswith(f"{one}-") for one, other in pairs), f"{job.id}: {pairs}"


def planned(spec: Spec) -> dict[str, Job]:
    """Return the jobs of a pipeline; missing files are created."""
    for _ in range(10):
        try:
            return build_jobs(spec, STAGES)
        except InvalidInput as error:
            missing = re.findall(r"no such file or folder: (.+)\.$", error.message, re.MULTILINE)
            assert len(missing) == len(error.message.splitlines()), error.message
            for path in map(Path, missing):
                for folder in reversed(path.parents):  # one by one: a path may contain ".."
                    folder.mkdir(exist_ok=True)
                path.touch()
    pytest.fail("too many missing files")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_the_stage_they_are_named_after(name: str) -> None:
    stage = {"loss": "segment", "framework": "segment"}.get(name.partition("/")[0], name.partition("/")[0])
    if stage not in STAGES:
        pytest.skip(f"no stage {stage!r}: a preset for a part of a config")
    path = next(shipped("configs").glob(f"{name}.y*ml"))
    assert path.read_text().startswith("#"), "a preset begins with its source in a comment"
    source = with_presets(read_yaml(path), where=stage)
    try:
        validate(STAGES[stage].config, source.value, where=stage, locate=source.locate)
    except InvalidInput as error:  # a preset may leave required keys to the user
        assert all(line.endswith("required key is missing.") for line in error.message.splitlines()), error.message


def test_the_example_in_the_documentation_is_valid(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "pipelines.md"
    if not page.is_file():
        pytest.skip("the documentation is not beside the tests")
    example = re.search(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    assert example is not None
    path = tmp_path / "mine.yaml"
    path.write_text(example.group(1))
    spec = load_spec(str(path), STAGES)
    assert list(spec.axes["size"]) == ["small", "large"]
    assert spec.entries["segment"].needs == ("crf",)


@pytest.mark.parametrize(("name", "base"), CONTINUED.items())
def test_a_continued_pipeline_keeps_the_stages_of_its_base(name: str, base: str) -> None:
    """Except the stages that collect scores: a stage with another config would re-run."""
    more, stages = load_spec(name, STAGES).entries, load_spec(base, STAGES).entries
    changed = {id for id, entry in stages.items() if more[id].source.value != entry.source.value}
    assert changed <= {"bench", "report"} and len(more) > len(stages)
