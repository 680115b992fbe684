"""Stages that resume, and what they log."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from killing import is_bookkeeping, snapshot
from toys import DOUBLE, MAKE, TRAIN
from toystage import messages, run, session

from wsss.pipeline.processes.interrupt import Interrupted
from wsss.pipeline.stage import Result, Stage
from wsss.pipeline.store.stage_folder import read_record
from wsss.stages import STAGES


def test_an_interrupted_training_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    numbers = run(MAKE, tmp_path / "make").artifact
    whole = run(TRAIN, tmp_path / "intact", inputs={"numbers": numbers}, seed=5)

    def stop(ctx: Any) -> Result:
        class Progress:
            def track(self, description: str, total: int, done: int = 0) -> Any:
                def advance(steps: int) -> None:
                    raise Interrupted

                return advance

        return TRAIN.run(type(ctx)(**{**vars(ctx), "progress": Progress()}))

    stopping = Stage("train", 1, TRAIN.config, stop, "model", "x", TRAIN.inputs)
    for _ in range(3):
        with pytest.raises(Interrupted):
            run(stopping, tmp_path / "parts", inputs={"numbers": numbers}, seed=5)
    record = read_record(tmp_path / "parts")
    assert record is not None
    assert record["status"] == "interrupted"
    assert json.loads((tmp_path / "parts" / "checkpoint.pt").read_text())[0] == 3
    outcome = run(TRAIN, tmp_path / "parts", inputs={"numbers": numbers}, seed=5)
    assert outcome.artifact.identity == whole.artifact.identity
    assert snapshot(tmp_path / "parts", ignore=is_bookkeeping) == snapshot(tmp_path / "intact", ignore=is_bookkeeping)


def test_the_checkpoint_is_kept_until_the_stage_is_recorded_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    numbers = run(MAKE, tmp_path / "make").artifact
    checkpoint = tmp_path / "train" / "checkpoint.pt"
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        patched.setattr("wsss.pipeline.store.stage_folder.list_artifacts", stopped)
        run(TRAIN, tmp_path / "train", inputs={"numbers": numbers})
    content = checkpoint.read_text()
    assert run(TRAIN, tmp_path / "train", inputs={"numbers": numbers}).status == "done"
    assert not checkpoint.exists()
    checkpoint.write_text(content)  # killed between the record and the removal
    assert run(TRAIN, tmp_path / "train", inputs={"numbers": numbers}).status == "skipped"
    assert not checkpoint.exists()


def test_the_reason_of_a_re_run_is_logged(tmp_path: Path) -> None:
    one = session(tmp_path)
    run(MAKE, tmp_path / "make", session=one)
    run(MAKE, tmp_path / "make", session=one)
    assert "again" not in messages(one)
    run(MAKE, tmp_path / "make", {"n": 2}, session=one)
    assert "make runs again: config changed: n 4 → 2\n" in messages(one)


def test_a_resumed_stage_logs_its_position(tmp_path: Path) -> None:
    run(MAKE, tmp_path / "make", {"n": 20})
    path = tmp_path / "make" / "stage.json"
    record = json.loads(path.read_text())
    for number in range(9, 20):
        (tmp_path / "make" / "items" / f"{number:03d}.txt").unlink()
    for status in ("interrupted", "failed", "running"):
        path.write_text(json.dumps({**record, "status": status, "artifacts": {}}))
        one = session(tmp_path)
        run(MAKE, tmp_path / "make", {"n": 20}, session=one)
        assert messages(one).splitlines() == ["make: resumed at 9/20"]
        for number in range(9, 20):
            (tmp_path / "make" / "items" / f"{number:03d}.txt").unlink()
    (tmp_path / "make" / "items" / "000.txt").unlink()
    path.write_text(json.dumps(record))
    one = session(tmp_path)
    run(MAKE, tmp_path / "make", {"n": 20}, session=one)  # files of a finished stage were deleted
    assert "make runs again: artifact items/000.txt is missing" in messages(one)
    assert "make: resumed at 8/20" in messages(one)


def test_a_stage_that_restarts_logs_it(tmp_path: Path) -> None:
    made = run(MAKE, tmp_path / "make").artifact
    run(DOUBLE, tmp_path / "double", inputs={"numbers": made})
    path = tmp_path / "double" / "stage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "interrupted"}))
    one = session(tmp_path)
    run(DOUBLE, tmp_path / "double", inputs={"numbers": made}, session=one)
    assert messages(one) == "double runs again: interrupted\n"


def test_every_stage_that_keeps_work_declares_that_it_resumes() -> None:
    """Stages that use `pending`, batches or `fit`, and no others."""
    for name in STAGES:
        module = importlib.import_module(STAGES[name].run.__module__)
        source = inspect.getsource(module)
        words = (
            "pending(",
            "work_in_batches(",
            "fit(job",
            "train_on_labels(",
            "train_sampler(",
            "refine_maps(",
            "write_masks(",
        )
        keeps = any(word in source for word in words)
        assert STAGES[name].resumes is keeps, name
