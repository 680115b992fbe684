from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import TRAIN

from wsss.errors import RunFailed
from wsss.io.files.atomic import write_text
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Session
from wsss.pipeline.stage import Context, Result, Stage
from wsss.pipeline.store.stage_folder import read_record


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user sets no number of threads, and torch has two."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def training(*, stops: bool = False, trains: bool = True) -> Stage[Any]:
    """Return a stage that writes the number of threads and a checkpoint."""

    def work(ctx: Context[Any]) -> Result:
        write_text(ctx.out / "checkpoint.pt", "half")
        if stops:
            raise RunFailed("stopped")
        write_text(ctx.out / "threads.txt", str(torch.get_num_threads()))
        return Result({})

    return replace(TRAIN, run=work, inputs={}, trains=(lambda config: 6) if trains else None)


def run(stage: Stage[Any], out: Path, **more: Any) -> str:
    session = Session(out.parent, workers=3, reporter=Reporter(io.StringIO()))
    run_stage(stage, stage.config(), out=out, session=session, **more)
    stream = session.reporter.stream
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def machine(out: Path) -> dict[str, Any]:
    record = read_record(out)
    assert record is not None
    found: dict[str, Any] = record["machine"]
    return found


def interrupt_with_one_thread(out: Path, *, trains: bool = True) -> None:
    torch.set_num_threads(1)
    with pytest.raises(RunFailed):
        run(training(stops=True, trains=trains), out)
    assert machine(out)["threads"] == 1
    torch.set_num_threads(2)


def test_the_record_names_processes_and_threads(tmp_path: Path) -> None:
    run(training(), tmp_path / "a")
    common = {"ranks": 1, "workers": 3, "threads": 2, "precision": "32-true"}
    assert machine(tmp_path / "a") == {**common, "effective_batch": 6}
    run(training(trains=False), tmp_path / "b")
    assert machine(tmp_path / "b") == {**common, "effective_batch": None}


@pytest.mark.parametrize("trains", [True, False])
def test_a_stage_resumes_with_the_same_number_of_threads(tmp_path: Path, trains: bool) -> None:
    interrupt_with_one_thread(tmp_path / "a", trains=trains)
    messages = run(training(trains=trains), tmp_path / "a")
    assert (tmp_path / "a" / "threads.txt").read_text() == "1"
    assert machine(tmp_path / "a")["threads"] == 1 and "mixed_threads" not in machine(tmp_path / "a")
    assert "a: resumes with 1 thread as before, not 2" in messages
    assert torch.get_num_threads() == 2


def test_too_few_cores_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunFailed):
        run(training(stops=True), tmp_path / "a")
    torch.set_num_threads(1)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    assert "this machine has only 1 core" in run(training(), tmp_path / "a")
    assert (tmp_path / "a" / "threads.txt").read_text() == "2"


def test_a_number_of_threads_set_by_the_user_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_with_one_thread(tmp_path / "a")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run(training(), tmp_path / "a")
    assert (tmp_path / "a" / "threads.txt").read_text() == "2"
    assert machine(tmp_path / "a")["mixed_threads"] == [1, 2]
    interrupt_with_one_thread(tmp_path / "b", trains=False)
    assert "one part was computed with 1 thread, the rest with 2" in run(training(trains=False), tmp_path / "b")


def test_the_default_of_torchrun_is_not_set_by_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_with_one_thread(tmp_path / "a")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    run(training(), tmp_path / "a")
    assert (tmp_path / "a" / "threads.txt").read_text() == "1"


def test_a_training_without_a_checkpoint_is_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_with_one_thread(tmp_path / "a")
    (tmp_path / "a" / "checkpoint.pt").unlink()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run(training(), tmp_path / "a")
    assert machine(tmp_path / "a")["threads"] == 2 and "mixed_threads" not in machine(tmp_path / "a")


def test_a_finished_stage_stays_finished_with_other_threads(tmp_path: Path) -> None:
    run(training(), tmp_path / "a")
    before = (tmp_path / "a" / "stage.json").read_bytes()
    torch.set_num_threads(1)
    run(training(), tmp_path / "a")
    assert (tmp_path / "a" / "stage.json").read_bytes() == before


def test_a_forced_stage_uses_the_present_number_of_threads(tmp_path: Path) -> None:
    interrupt_with_one_thread(tmp_path / "a")
    run(training(), tmp_path / "a", force=True)
    assert (tmp_path / "a" / "threads.txt").read_text() == "2"


def test_a_record_without_a_machine_is_resumed(tmp_path: Path) -> None:
    interrupt_with_one_thread(tmp_path / "a")
    from wsss.pipeline.store.stage_folder import write_record

    record = read_record(tmp_path / "a")
    assert record is not None
    write_record(tmp_path / "a", {name: value for name, value in record.items() if name != "machine"})
    run(training(), tmp_path / "a")
    assert (tmp_path / "a" / "threads.txt").read_text() == "2"
