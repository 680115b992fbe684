"""The dataset and the inputs of replaced stages are read before any of their files is deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from toys import ToyData

from wsss.errors import InvalidInput
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.run.replacement_check import REPAIR, RESULTS_KEPT, Replaced, check_replaced
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Session
from wsss.pipeline.stage import Context, Result, Stage, StageConfig
from wsss.pipeline.store.stage_folder import list_artifacts, write_record

DONE = {"identity": "x", "identity_parts": {"reads": {"train/images": "1", "train/masks": "2", "val/images": "3"}}}


def replaced(reads: dict[str, str], *inputs: Path, keep: bool = False, record: bool = True) -> Replaced:
    decision = Decision("run", ("changed",), keep=keep, record=DONE if record else None)
    return Replaced(decision, {"reads": reads}, inputs)


@pytest.fixture
def data(tmp_path: Path) -> ToyData:
    for name in ("train/images", "train/masks", "val/images"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("damaged")
    return ToyData(tmp_path / "data")


def names(caught: pytest.ExceptionInfo[InvalidInput], data: ToyData) -> list[str]:
    lines = caught.value.message.splitlines()
    return [line.removeprefix(f"{data.root}/").removesuffix(": damaged.") for line in lines]


def test_changed_splits_are_read_once(data: ToyData) -> None:
    now = {"train/images": "9", "train/masks": "2", "val/images": "3"}
    with pytest.raises(InvalidInput) as caught:
        check_replaced([replaced(now), replaced({"train/images": "9"})], data, lambda line: None)
    assert names(caught, data) == ["train/images", "train/masks"]
    assert caught.value.hint == f"{REPAIR}\n{RESULTS_KEPT}"


def test_nothing_is_read_if_no_result_is_deleted(data: ToyData) -> None:
    reads = DONE["identity_parts"]["reads"]  # type: ignore[index]
    changed = {"train/images": "9"}
    stages = [replaced(dict(reads)), replaced(changed, keep=True), replaced(changed, record=False)]
    check_replaced(stages, data, lambda line: None)


def test_a_damaged_file_of_a_finished_input_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "maker"
    folder.mkdir(parents=True)
    path = folder / "a.txt"
    path.write_text("intact")
    write_record(folder, {"identity": "x", "status": "done", "id": "maker", "artifacts": list_artifacts(folder)})
    stages = [replaced({}, folder)]
    check_replaced(stages, None, lambda line: None)
    times = path.stat()
    path.write_text("wrong")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    from wsss.io.files import recorded

    recorded._intact.clear()  # as another process
    with pytest.raises(InvalidInput) as caught:
        check_replaced(stages, None, lambda line: None)
    assert str(caught.value.subject).endswith("maker/a.txt")
    assert caught.value.hint is not None and "Re-run the stage" in caught.value.hint


def test_inputs_are_inspected_only_if_a_result_would_be_deleted(tmp_path: Path) -> None:
    bad = False

    def inspect(ctx: Context[StageConfig]) -> None:
        if bad:
            raise InvalidInput("a mask of another size")

    def work(ctx: Context[StageConfig]) -> Result:
        (ctx.out / "result").write_text(str(ctx.seed))
        return Result({})

    stage = Stage("toy", 1, StageConfig, work, "masks", "", inspect=inspect)
    bad = True
    run_stage(stage, StageConfig(), out=tmp_path / "toy", session=Session(tmp_path))
    with pytest.raises(InvalidInput) as caught:
        run_stage(stage, StageConfig(), out=tmp_path / "toy", seed=1, session=Session(tmp_path))
    assert caught.value.problem == "a mask of another size"
    assert (tmp_path / "toy/result").read_text() == "0"
    bad = False
    run_stage(stage, StageConfig(), out=tmp_path / "toy", seed=1, session=Session(tmp_path))
    assert (tmp_path / "toy/result").read_text() == "1"
