"""Self-distillation as a pipeline: the documented pipeline can be planned, and missing inputs are reported early."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from wsss.errors import InvalidInput
from wsss.pipeline.config.spec import load_spec
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import dry_run
from wsss.stages import STAGES
from wsss.whole_run import open_data

ROUNDS = """
name: rounds
data: {layout: shapes, size: 40, train: 5, val: 3, classes: 2}
stages:
  first:
    uses: segment
    with: &round {head: dynunet, unet: {levels: 3, filters: [4, 4, 4]}, labels: ground-truth, steps: 2, batch_size: 2}
  soften: {uses: predict, needs: [first], with: {splits: [train], save_probabilities: true}}
  second: {uses: segment, needs: [soften], with: {<<: *round, labels: soft}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rounds.yaml").write_text(ROUNDS)
    return tmp_path


def plan(path: Path, *sets: str) -> Any:
    spec = load_spec(str(path), STAGES, sets)
    return dry_run(spec, STAGES, run_dir=Path("run"), open_data=open_data, choice=Choice())


def test_a_teacher_without_probabilities_is_refused_in_the_plan(here: Path) -> None:
    assert [step.job.id for step in plan(here / "rounds.yaml")] == ["first", "soften", "second"]
    with pytest.raises(InvalidInput) as error:
        plan(here / "rounds.yaml", "soften.save_probabilities=false")
    assert error.value.subject == "Stage 'second'"
    assert "'soften'" in error.value.problem and "save_probabilities: true" in str(error.value.hint)
    assert plan(here / "rounds.yaml", "soften.save_probabilities=false", "second.labels=pseudo")


def test_a_teacher_of_other_images_is_refused_in_the_plan(here: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        plan(here / "rounds.yaml", "soften.splits=[val]")
    assert error.value.subject == "Stage 'second'" and "'soften'" in error.value.problem
    assert "Add train to the splits of 'soften'" in str(error.value.hint)


def test_the_documented_pipeline_has_three_rounds(here: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "segmentation.md"
    if not page.is_file():
        pytest.skip("no documentation in this installation")
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    text = next(block for block in blocks if "distilled" in block)
    (here / "distilled.yaml").write_text(text)
    spec = load_spec("distilled.yaml", STAGES)
    from wsss.pipeline.plan.graph import build_jobs

    jobs = build_jobs(spec, STAGES)
    rounds = [job for job in jobs.values() if job.stage.name == "segment"]
    assert len(rounds) == 6 and {job.seed for job in rounds} == {0, 1000, 2000}
    assert [job.config.labels for job in rounds].count("soft") == 4
    assert {job.config.steps for job in rounds} == {4000}
