"""Errors of a stage, and what they leave unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killing import snapshot
from toys import COUNT, DOUBLE, FAIL, MAKE, ToyData, make_toy_data
from toystage import run, session

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.stage import Result, Stage, StageConfig
from wsss.pipeline.store.stage_folder import read_record


class BatchConfig(StageConfig):
    batch_size: int = 16


def test_memory_that_runs_out_in_batches_points_to_their_size(tmp_path: Path) -> None:
    def fill(ctx: Any) -> Result:
        raise MemoryError

    stage = Stage("fill", 1, BatchConfig, fill, "nothing", "Fill memory.")
    with pytest.raises(RunFailed) as found:
        run(stage, tmp_path / "fill", {"batch_size": 64})
    assert str(found.value.hint).startswith("Lower batch_size (64;")
    with pytest.raises(RunFailed) as found:
        run(stage, tmp_path / "single", {"batch_size": 1})
    assert "batch_size" not in str(found.value.hint)


def test_an_error_of_prepare_leaves_the_folder_unchanged(tmp_path: Path) -> None:
    seen: list[int] = []

    def prepare(config: Any, data: Any) -> None:
        seen.append(config.n)
        if config.n > 4:
            raise InvalidInput("too many")

    stage = replace(MAKE, prepare=prepare)
    run(stage, tmp_path / "make")
    run(stage, tmp_path / "make")
    assert seen == [4], "not for a finished stage"
    before = snapshot(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        run(stage, tmp_path / "make", {"n": 5})
    assert caught.value.problem == "too many"
    assert snapshot(tmp_path) == before


def test_files_that_change_after_the_plan_are_errors(tmp_path: Path) -> None:
    """Other stages may run for hours between the plan and the stage."""
    weights = tmp_path / "weights"
    weights.write_text("planned")
    late = replace(MAKE, prepare=lambda config, data: weights.write_text("changed"))
    with pytest.raises(InvalidInput) as caught:
        run(late, tmp_path / "out", {"weights": weights})
    assert "weights" in caught.value.problem and "out" in str(caught.value.subject)
    assert run(late, tmp_path / "out", {"weights": weights}).status == "done"


def test_an_error_of_ready_leaves_the_folder_unchanged(tmp_path: Path) -> None:
    """`ready` is called with the finished inputs, `prepare` is not."""

    def ready(ctx: Any) -> None:
        text = (ctx.inputs["numbers"].path / "items" / "002.txt").read_text()
        assert (ctx.config, ctx.data, ctx.out) == (DOUBLE.config(), None, tmp_path / "double")
        if "bad" in text:
            raise InvalidInput("not this one", hint="Another.")

    stage = replace(DOUBLE, ready=ready)
    good, bad = (run(MAKE, tmp_path / name, {"text": name}).artifact for name in ("good", "bad"))
    run(stage, tmp_path / "double", inputs={"numbers": good})
    before = snapshot(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        run(stage, tmp_path / "double", inputs={"numbers": bad})
    assert (caught.value.subject, caught.value.problem) == ("Stage 'double' failed", "not this one")
    assert caught.value.hint == "Another."
    assert snapshot(tmp_path) == before
    assert run(stage, tmp_path / "double", inputs={"numbers": good}).status == "skipped"


@pytest.mark.parametrize(
    ("how", "type", "problem", "hint"),
    [
        ("run", RunFailed, "it did not work.", "Try something else."),
        ("input", InvalidInput, "the data are wrong.", None),
        ("bug", RunFailed, "KeyError: 'oops'", "--debug"),
        ("full", RunFailed, "", "Free some space"),
        ("nan", RunFailed, "loss is nan", "lower the learning rate"),
    ],
)
def test_failures_name_the_stage(tmp_path: Path, how: str, type: Any, problem: str, hint: str | None) -> None:
    one = session(tmp_path)
    one.reporter.file = tmp_path / "run.log"
    with pytest.raises(type) as caught:
        run(FAIL, tmp_path / "fail", {"how": how}, session=one)
    assert str(caught.value.subject).startswith("Stage 'fail' failed") and problem in caught.value.problem
    assert (hint or "") in (caught.value.hint or "")
    record = read_record(tmp_path / "fail")
    assert record is not None
    assert record["status"] == "failed"
    if how == "bug":
        assert "Traceback" in (tmp_path / "run.log").read_text()


def test_other_folders_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput) as error:
        run(MAKE, tmp_path / "mine")
    assert error.value.subject == str(tmp_path / "mine")
    assert snapshot(tmp_path) == {"mine/thesis.tex": b"x"}


def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFailed) as error:
        run(MAKE, tmp_path / "file" / "make")
    assert (error.value.found, error.value.allowed) == ("a file", "a folder")


def test_missing_inputs_and_failing_checks_are_raised_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        run(DOUBLE, tmp_path / "double")
    assert (error.value.subject, error.value.allowed) == ("double", "numbers")
    data = ToyData(make_toy_data(tmp_path / "d"))
    made = run(MAKE, tmp_path / "make").artifact
    with pytest.raises(InvalidInput) as error:
        run(COUNT, tmp_path / "count", {"split": "train"}, inputs={"pred": made}, data=data)
    assert error.value.problem == "counting on train is not allowed."
    assert not (tmp_path / "count").exists()
