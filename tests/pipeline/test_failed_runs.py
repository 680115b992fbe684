"""Errors of a run: before anything runs, and of a stage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killing import snapshot
from toyruns import ALL, TEXT, planned, ran, run, spec
from toys import TOYS, open_toy_data

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import dry_run
from wsss.pipeline.store.run_summary import summarise


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

    for before in ({}, dict.fromkeys(ALL, "stale")):
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
    assert (error.subject, error.problem) == ("Stages 'train@f=2', 'train@f=3'", "no five steps")
    assert {id: snapshot(here / "runs/toy" / id) for id in ALL} == kept
    assert planned(*changed).keys() == set(ALL)


def recorded() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("runs/toy/run.json").read_text())
    return content


@pytest.mark.parametrize("refused", ["by a check", "by its inputs", "by an interrupt"])
def test_a_run_refused_before_a_stage_starts_keeps_the_recorded_pipeline(
    here: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def no(*_: Any) -> None:
        raise KeyboardInterrupt if "interrupt" in refused else InvalidInput("no")

    assert ran() == ALL
    before = recorded()
    kept = {id: snapshot(here / "runs/toy" / id) for id in ALL}
    at = "ready" if "inputs" in refused else "prepare"
    with monkeypatch.context() as patch:
        patch.setitem(TOYS, "make", replace(TOYS["make"], **{at: no}))
        result = run("stages.make.with.text=y", "matrix.f=[3]")
    after = recorded()
    assert isinstance(result.error, KeyboardInterrupt if "interrupt" in refused else InvalidInput)
    assert after["status"] == result.status and after["finished"] >= before["finished"]
    own = {"status", "finished", "failed", "seal"}
    assert {key: after[key] for key in after if key not in own} == {
        key: before[key] for key in before if key not in own
    }
    assert {id: snapshot(here / "runs/toy" / id) for id in ALL} == kept
    assert ran() == [] and recorded()["status"] == "done"


def test_a_run_without_results_records_the_latest_pipeline(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: Any) -> None:
        raise InvalidInput("no")

    with monkeypatch.context() as patch:
        patch.setitem(TOYS, "make", replace(TOYS["make"], prepare=no))
        run()
        run("stages.make.with.text=y")
    assert recorded()["pipeline"]["stages"]["make"]["with"]["text"] == "y"
    assert run("stages.make.with.text=z", until="make").status == "done"
    assert recorded()["pipeline"]["stages"]["make"]["with"]["text"] == "z"


def test_problems_of_all_stages_are_listed_before_anything_runs(here: Path) -> None:
    result = run("count.split=train", "make.split=nowhere")
    assert isinstance(result.error, InvalidInput)
    subjects = [one.subject for one in result.error.errors]
    assert subjects == ["Stage 'make': d", "Stages 'count@f=2', 'count@f=3'"]
    assert "'nowhere'" in result.error.errors[0].problem
    assert not (here / "runs" / "toy" / "make").exists()


def test_invalid_data_keys_name_their_line(here: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        ran(text=TEXT.replace("{root: d}", "{rot: d}"))
    assert (error.value.subject, error.value.found) == ("p.yaml:2: data.rot", "rot")
    with pytest.raises(InvalidInput) as error:
        ran("data.root=no")
    assert error.value.subject == "--set data.root=no: data.root"


def test_other_folders_and_other_runs_are_refused(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput) as error:
        ran(run_dir=Path("mine"))
    assert error.value.subject == "mine" and "thesis.tex" in error.value.problem
    ran()
    with pytest.raises(InvalidInput) as error:
        ran("name=other")
    assert (error.value.subject, error.value.found) == ("runs/toy", "toy")
    (here / "runs" / "toy" / "run.json").write_text("[]")
    with pytest.raises(InvalidInput) as error:
        ran()
    assert (error.value.subject, error.value.allowed) == ("runs/toy/run.json", "a JSON object")


def test_a_foreign_folder_in_place_of_a_stage_is_not_emptied(here: Path) -> None:
    ran(until="make")
    foreign = here / "runs" / "toy" / "all"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput) as error:
        ran()
    assert error.value.subject == "runs/toy/all"
    assert (foreign / "thesis.tex").read_text() == "x"
    assert not (here / "runs" / "toy" / "double@f=2").exists()


def test_a_run_directory_that_is_not_writable_is_refused(here: Path) -> None:
    (here / "file").write_text("x")
    with pytest.raises(RunFailed) as error:
        ran(run_dir=Path("file/run"))
    assert (error.value.subject, error.value.found, error.value.allowed) == (
        "cannot write file/run: file",
        "a file",
        "a folder",
    )


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
    assert [one.subject for one in caught.value.errors] == ["Stage 'count@f=2'", "Stage 'count@f=3'"]
    for factor, one in zip((2, 3), caught.value.errors, strict=True):
        assert f"'double@f={factor}'" in one.problem
        assert f"Add val to the splits of 'double@f={factor}'" in (caught.value.hint or "")


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
    with pytest.raises(InvalidInput) as caught:
        plan(change)
    problems = {one.subject: one.problem for one in caught.value.errors or [caught.value]}
    assert f"'{provider}'" in problems[f"Stage '{stage}'"]
