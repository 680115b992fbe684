from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killing import snapshot
from toys import TOYS, make_toy_data, open_toy_data

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.config.layers import parse_set
from wsss.pipeline.config.source import merge, parse_yaml
from wsss.pipeline.config.spec import Spec, spec_from
from wsss.pipeline.plan.identity import identity_of
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import RunResult, dry_run, run_pipeline
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.task import Session
from wsss.pipeline.store.run_summary import summarise
from wsss.pipeline.store.stage_folder import read_record, write_record

TEXT = """\
name: toy
data: {root: d}
matrix: {f: [2, 3]}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  double: {uses: double, needs: [make], with: {factor: "${{ matrix.f }}"}}
  train: {uses: train, needs: [double], with: {steps: 3}}
  count: {uses: count, needs: [double]}
  all: {uses: gather, needs: [make, double, train, count]}
"""
ALL = ["make", "double@f=2", "double@f=3", "train@f=2", "train@f=3", "count@f=2", "count@f=3", "all"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")
    return tmp_path


def spec(*sets: str, text: str = TEXT) -> Spec:
    source = parse_yaml(text, "p.yaml")
    for name in sets:
        source = merge(source, parse_set(name, source, TOYS))
    return spec_from(source)


def run(*sets: str, text: str = TEXT, run_dir: Path = Path("runs/toy"), **choice: str) -> RunResult:
    session = Session(run_dir, reporter=Reporter(io.StringIO()))
    return run_pipeline(
        spec(*sets, text=text),
        TOYS,
        session=session,
        open_data=open_toy_data,
        choice=Choice(**choice),
        command=["wsss"],
    )


def ran(*sets: str, **more: Any) -> list[str]:
    result = run(*sets, **more)
    if result.error is not None:
        raise result.error
    return [outcome.id for outcome in result.outcomes if outcome.status == "done"]


def planned(*sets: str, text: str = TEXT, run_dir: Path = Path("runs/toy"), **choice: str) -> dict[str, str]:
    steps = dry_run(spec(*sets, text=text), TOYS, run_dir=run_dir, open_data=open_toy_data, choice=Choice(**choice))
    return {step.job.id: "; ".join(step.decision.reasons) for step in steps if step.runs}


def test_everything_runs_once(here: Path) -> None:
    result = run()
    assert [outcome.id for outcome in result.outcomes] == ALL
    assert (result.status, result.report) == ("done", Path("runs/toy/all/index.html"))
    before = snapshot(here)
    again = run()
    assert [outcome.status for outcome in again.outcomes] == ["skipped"] * len(ALL)
    assert [outcome.metrics for outcome in again.outcomes] == [outcome.metrics for outcome in result.outcomes]
    assert again.report == result.report
    assert snapshot(here) == before  # run.json and run.log included


def test_run_json_holds_the_pipeline(here: Path) -> None:
    run("make.n=2")
    record = json.loads(Path("runs/toy/run.json").read_text())
    assert record["pipeline"]["stages"]["make"]["with"] == {"n": 2, "split": "train"}
    assert (record["name"], record["seed"], record["status"], record["command"]) == ("toy", 0, "done", ["wsss"])
    assert [stage["id"] for stage in record["stages"]] == ALL
    assert record["stages"][1] == {"id": "double@f=2", "uses": "double", "needs": ["make"]}
    assert record["report"] == "all/index.html"
    assert "python" in record["versions"]


def test_a_change_re_runs_its_dependants_only(here: Path) -> None:
    ran()
    assert ran("train.steps=4") == ["train@f=2", "train@f=3", "all"]
    assert ran("train.steps=4") == []
    assert planned("train.steps=4", "matrix.f=[2,5]") == {
        "double@f=5": "never ran",
        "train@f=5": "never ran",
        "count@f=5": "never ran",
        "all": "input stages: count@f=5, double@f=5, train@f=5 added; "
        "input stages: count@f=3, double@f=3, train@f=3 left out",
    }


def test_a_record_with_a_former_config_explains_why_its_stage_re_runs(here: Path) -> None:
    """A run directory that was made before `TrainConfig` had the field ``scales``."""
    ran()
    for folder in sorted(Path("runs/toy").glob("train@*")):
        record = read_record(folder)
        assert record is not None
        del record["identity_parts"]["config"]["scales"], record["config"]["scales"]
        write_record(folder, {**record, "identity": identity_of(record["identity_parts"])})
    assert planned() == dict.fromkeys(["train@f=2", "train@f=3"], "config changed: scales added ([1.0])")
    assert ran() == ["train@f=2", "train@f=3"]
    log = Path("runs/toy/run.log").read_text()
    assert "train@f=2 runs again: config changed: scales added ([1.0])" in log


def test_a_change_of_the_dataset_re_runs_the_stages_that_read_it(here: Path) -> None:
    ran()
    (here / "d" / "val" / "masks").write_text("other")
    assert planned() == {
        "count@f=2": "masks of val changed",
        "count@f=3": "masks of val changed",
        "all": "input stages: count@f=2, count@f=3 changed",
    }
    (here / "d" / "train" / "images").write_text("other")
    assert set(planned()) == set(ALL)
    assert planned()["make"] == "images of train changed"
    assert planned()["double@f=2"] == "input numbers changed"


def test_a_dry_run_changes_nothing(here: Path) -> None:
    before = snapshot(here)
    assert planned() == dict.fromkeys(ALL, "never ran")
    assert snapshot(here) == before
    ran()
    (here / "runs" / "toy" / "make" / "items" / "001.txt").write_text("x")
    before = snapshot(here)
    assert planned() == {"make": "artifact items/001.txt is truncated"}
    assert planned(force="train@f=2") == {
        "make": "artifact items/001.txt is truncated",
        "train@f=2": "forced",
        "all": "forced",
    }
    assert snapshot(here) == before


def test_a_dry_run_generates_data_elsewhere(here: Path) -> None:
    text = TEXT.replace("data: {root: d}", "data: {generate: pictures}").replace(
        "  count: {uses: count, needs: [double]}\n", ""
    )
    text = text.replace("train, count]", "train]")
    planned(text=text)
    assert not (here / "runs").exists()
    ran(text=text)
    assert (here / "runs" / "toy" / "data" / "toy" / "train" / "images").read_text() == "pictures"
    before = snapshot(here)
    assert planned(text=text) == {}
    assert snapshot(here) == before


def test_a_damaged_artifact_is_rebuilt_without_its_dependants(here: Path) -> None:
    ran()
    path = here / "runs" / "toy" / "double@f=3" / "items" / "001.txt"
    whole = path.read_bytes()
    path.write_bytes(whole[:3])
    result = run()
    assert [outcome.id for outcome in result.outcomes if outcome.status == "done"] == ["double@f=3"]
    assert path.read_bytes() == whole


def test_from_and_until_restrict_a_run(here: Path) -> None:
    with pytest.raises(InvalidInput, match="make: never ran") as error:
        ran(start="train", until="train")
    assert error.value.subject == "--from train"
    assert ran(until="double") == ["make", "double@f=2", "double@f=3"]
    assert ran(until="train@f=2") == ["train@f=2"]
    assert ran(start="train", until="train") == ["train@f=3"]
    with pytest.raises(InvalidInput, match=r"\n  count@f=2: never ran\n  count@f=3: never ran"):
        ran(start="train")  # the last stage needs the counts too
    assert ran(start="double", until="count") == ["count@f=2", "count@f=3"]
    assert ran(start="train") == ["all"]


def test_from_requires_finished_stages_upstream(here: Path) -> None:
    ran()
    with pytest.raises(InvalidInput, match=r"make: config changed: n 3 → 4\n  double@f=2: input numbers") as caught:
        ran("make.n=4", start="train")
    assert "start with --from make" in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        ran(start="train", until="count")
    assert caught.value.subject == "--from train --until count"
    with pytest.raises(InvalidInput) as caught:
        ran(until="trian")
    assert (caught.value.subject, caught.value.found) == ("--until", "trian")


def test_errors_of_stages_that_are_left_out_are_ignored(here: Path) -> None:
    wrong = "count.split=nowhere"
    assert isinstance(run(wrong).error, InvalidInput)
    assert list(planned(wrong, until="train")) == ["make", "double@f=2", "double@f=3", "train@f=2", "train@f=3"]
    assert ran(wrong, until="train") == ["make", "double@f=2", "double@f=3", "train@f=2", "train@f=3"]
    assert ran(wrong, start="train", until="train") == []
    with pytest.raises(InvalidInput, match=r"Stage 'make': d: no split 'nowhere'"):
        ran("make.split=nowhere", start="train", until="train")


def test_damage_of_a_stage_that_is_left_out_is_ignored(here: Path) -> None:
    ran()
    (here / "runs" / "toy" / "double@f=2" / "items" / "001.txt").unlink()
    assert ran(until="make") == []


def test_force_re_runs_a_stage_and_its_dependants_from_scratch(here: Path) -> None:
    ran()
    (here / "runs" / "toy" / "double@f=3" / "items" / "extra.txt").write_text("x")
    assert ran(force="double@f=3") == ["double@f=3", "train@f=3", "count@f=3", "all"]
    assert not (here / "runs" / "toy" / "double@f=3" / "items" / "extra.txt").exists()
    assert ran(force="make") == ALL
    with pytest.raises(InvalidInput) as error:
        ran(start="double", force="make")
    assert error.value.subject == "--force make"


def test_force_applies_to_the_next_run_after_a_failure(here: Path) -> None:
    text = TEXT.replace("{uses: count, needs: [double]}", "{uses: fail, needs: [double], with: {how: no}}")
    text = (
        text.replace("train, count]", "train]").replace("matrix: {f: [2, 3]}\n", "").replace('"${{ matrix.f }}"', "2")
    )
    ran(text=text)
    failing = text.replace("how: no", "how: run")
    with pytest.raises(RunFailed):
        ran(text=failing, force="double")
    assert planned(text=text) == {"count": "config changed: how run → no", "all": "forced"}


def test_the_failure_of_a_stage_is_recorded(here: Path) -> None:
    text = TEXT + "  bad: {uses: fail, needs: [double]}\n  after: {uses: make}\n"
    result = run(text=text)
    assert isinstance(result.error, RunFailed)
    assert (result.status, result.outcomes[-1].id, result.outcomes[-1].status) == ("failed", "bad@f=2", "failed")
    assert json.loads(Path("runs/toy/run.json").read_text())["status"] == "failed"
    summary = summarise(Path("runs/toy"))
    assert summary is not None
    states = {stage["id"]: stage["status"] for stage in summary["stages"]}
    assert (states["make"], states["bad@f=2"], states["after"]) == ("done", "failed", "pending")
    assert planned(text=text)["bad@f=2"] == "failed last time"


def test_a_stage_refused_before_it_starts_has_failed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def states() -> dict[str, str]:
        summary = summarise(Path("runs/toy"))
        assert summary is not None
        return {stage["id"]: stage["status"] for stage in summary["stages"]}

    def ready(ctx: Any) -> None:
        if ctx.config.factor == 3:
            raise InvalidInput("not by three")

    for before in ({}, dict.fromkeys(ALL, "done")):
        with monkeypatch.context() as patch:
            patch.setitem(TOYS, "double", replace(TOYS["double"], ready=ready))
            result = run("stages.double.with.mode=fancy") if before else run()
        assert isinstance(result.error, InvalidInput) and "'double@f=3'" in str(result.error.subject)
        found = states()
        assert (found["make"], found["double@f=2"], found["double@f=3"]) == ("done", "done", "failed")
        assert found["all"] == before.get("all", "pending")
        assert ran() and set(states().values()) == {"done"}


def test_stages_that_will_run_are_prepared_before_any_starts(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(config: Any, data: Any) -> None:
        if config.steps == 5:
            raise InvalidInput("no five steps")

    monkeypatch.setitem(TOYS, "train", replace(TOYS["train"], prepare=prepare))
    assert ran() == ALL
    kept = {id: snapshot(here / "runs/toy" / id) for id in ALL}
    changed = ("stages.make.with.text=y", "stages.train.with.steps=5")
    error = run(*changed).error
    assert isinstance(error, InvalidInput)
    assert error.message == "Stage 'train@f=2': no five steps.\nStage 'train@f=3': no five steps."
    assert {id: snapshot(here / "runs/toy" / id) for id in ALL} == kept
    assert planned(*changed).keys() == set(ALL)


def test_problems_of_all_stages_are_listed_before_anything_runs(here: Path) -> None:
    result = run("count.split=train", "make.split=nowhere")
    assert isinstance(result.error, InvalidInput)
    assert result.error.message.splitlines() == [
        "Stage 'make': d: no split 'nowhere' with images.",
        "Stage 'count@f=2': counting on train is not allowed.",
        "Stage 'count@f=3': counting on train is not allowed.",
    ]
    assert not (here / "runs" / "toy" / "make").exists()


def test_invalid_data_keys_name_their_line(here: Path) -> None:
    with pytest.raises(InvalidInput, match=r"p\.yaml:2: data\.rot: "):
        ran(text=TEXT.replace("{root: d}", "{rot: d}"))
    with pytest.raises(InvalidInput, match=r"--set data\.root=no: data\.root: "):
        ran("data.root=no")


def test_other_folders_and_other_runs_are_refused(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput, match=r"thesis.tex") as error:
        ran(run_dir=Path("mine"))
    assert error.value.subject == "mine"
    ran()
    with pytest.raises(InvalidInput) as error:
        ran("name=other")
    assert (error.value.subject, error.value.found) == ("runs/toy", "toy")
    (here / "runs" / "toy" / "run.json").write_text("[]")
    with pytest.raises(InvalidInput, match="not a record of a run"):
        ran()


def test_a_foreign_folder_in_place_of_a_stage_is_not_emptied(here: Path) -> None:
    ran(until="make")
    foreign = here / "runs" / "toy" / "all"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput, match="not the folder of a stage"):
        ran()
    assert (foreign / "thesis.tex").read_text() == "x"
    assert not (here / "runs" / "toy" / "double@f=2").exists()


def test_a_run_directory_that_is_not_writable_is_refused(here: Path) -> None:
    (here / "file").write_text("x")
    with pytest.raises(RunFailed, match="cannot write file/run: file: "):
        ran(run_dir=Path("file/run"))


def test_a_full_disk_is_explained_and_leaves_a_resumable_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    real, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 30:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    result = run()
    assert result.status == "failed"
    assert isinstance(result.error, RunFailed)
    assert "no space left on device" in str(result.error)
    assert "Free some space" in str(result.error)
    monkeypatch.setattr(os, "fsync", real)
    assert run().status == "done"


def test_results_do_not_depend_on_workers(here: Path) -> None:
    ran(run_dir=Path("one"), text=TEXT)
    session = Session(Path("two"), workers=2, reporter=Reporter(io.StringIO()))
    result = run_pipeline(spec(), TOYS, session=session, open_data=open_toy_data)
    assert result.status == "done"

    def files(folder: str) -> Any:
        return snapshot(here / folder, ignore=lambda name: name.endswith(("run.json", "stage.json", "run.log")))

    assert files("one") == files("two")


@pytest.mark.parametrize("splits", [["train"], ["val"], ["train", "val"], None])
def test_missing_splits_of_inputs_are_listed_before_anything_runs(here: Path, splits: list[str] | None) -> None:
    registry = {
        **TOYS,
        "double": replace(TOYS["double"], covers=lambda config: splits),
        "count": replace(TOYS["count"], needs_splits=lambda config: (config.split,)),
    }

    def plan() -> Any:
        return dry_run(spec(), registry, run_dir=Path("r"), open_data=open_toy_data, choice=Choice())

    if splits != ["train"]:
        assert len(plan()) == len(ALL)
        return
    with pytest.raises(InvalidInput) as caught:
        plan()
    assert caught.value.message.splitlines() == [
        "Stage 'count@f=2': requires the images of val, but 'double@f=2' covers only train.",
        "Stage 'count@f=3': requires the images of val, but 'double@f=3' covers only train.",
    ]
    assert "Add val to the splits of 'double@f=2'" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "stage", "provider"),
    [
        ("cam.splits=[val]", "pseudo", "cam"),
        ("crf.splits=[val]", "segment", "crf"),
        ("predict.splits=[train]", "score-segment", "predict"),
        ("pseudo.splits=[val]", "crf", "pseudo"),
    ],
)
def test_the_shipped_stages_declare_their_splits(here: Path, change: str, stage: str, provider: str) -> None:
    from wsss.pipeline.config.spec import load_spec
    from wsss.stages import STAGES
    from wsss.whole_run import open_data

    tiny = str(Path(__file__).parents[1] / "support" / "tiny.yaml")

    def plan(*sets: str) -> Any:
        return dry_run(load_spec(tiny, STAGES, sets), STAGES, run_dir=Path("r"), open_data=open_data, choice=Choice())

    assert plan()
    with pytest.raises(InvalidInput, match=rf"Stage '{stage}': .*'{provider}'"):
        plan(change)


def test_another_number_of_processes_re_runs_a_training(here: Path) -> None:
    registry = {**TOYS, "train": replace(TOYS["train"], trains=lambda config: 1)}
    text = TEXT.replace("matrix: {f: [2, 3]}\n", "").replace('"${{ matrix.f }}"', "2")

    def plan(ranks: int, **choice: str) -> dict[str, str]:
        steps = dry_run(
            spec(text=text), registry, run_dir=Path("r"), open_data=open_toy_data, choice=Choice(**choice), ranks=ranks
        )
        return {step.job.id: "; ".join(step.decision.reasons) for step in steps if step.runs}

    session = Session(Path("r"), reporter=Reporter(io.StringIO()))
    run_pipeline(spec(text=text), registry, session=session, open_data=open_toy_data)
    assert plan(1) == {}
    assert plan(2) == {
        "train": "number of processes (and thus the effective batch) changed: 1 → 2",
        "all": "input stages: train changed",
    }
    assert plan(2, start="all") == {}  # not for a stage that is left out
    assert plan(2, until="count") == {}
