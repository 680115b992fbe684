from __future__ import annotations

import io
import os
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import MAKE

from wsss.errors import RunFailed
from wsss.pipeline.processes.interrupt import AGAIN, Interrupted, as_interrupt, interruptible
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Session
from wsss.pipeline.store.stage_folder import read_record

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def swallow(number: signal.Signals) -> None:
    """Raise a signal and swallow its exception, as in a finaliser."""
    try:
        signal.raise_signal(number)
    except BaseException:
        return
    raise AssertionError("the signal raised nothing")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_one_exception(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    with pytest.raises(Interrupted) as caught, interruptible():
        signal.raise_signal(number)
    assert caught.value.exit_code == 128 + number
    assert [signal.getsignal(one) for one in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_an_error_after_a_signal_is_the_interrupt(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as caught, interruptible():
        swallow(number)
        raise RuntimeError("DataLoader worker (pid 7) exited unexpectedly")
    assert caught.value.exit_code == 128 + number
    with pytest.raises(RuntimeError, match="a bug"), interruptible():
        raise RuntimeError("a bug")


def test_a_stage_that_fails_after_a_signal_was_interrupted(tmp_path: Path) -> None:
    def breaks(ctx: Any) -> Any:
        swallow(signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid 7) exited unexpectedly")

    session = Session(tmp_path, reporter=Reporter(io.StringIO()))
    with pytest.raises(Interrupted) as caught, interruptible():
        run_stage(replace(MAKE, run=breaks), MAKE.config(), out=tmp_path / "make", session=session)
    assert caught.value.exit_code == 143
    record = read_record(tmp_path / "make")
    assert record is not None
    assert record["status"] == "interrupted"


@pytest.mark.parametrize("cause", [RuntimeError("DataLoader worker (pid 7) is killed"), BrokenProcessPool("gone")])
def test_a_worker_that_dies_before_the_signal_arrives(cause: Exception) -> None:
    failed = RunFailed("a worker process ended")
    failed.__cause__ = cause
    with interruptible():
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        result = as_interrupt(failed)
    assert isinstance(result, Interrupted)
    assert result.exit_code == 143


def test_other_errors_are_unchanged() -> None:
    for error in (RuntimeError("DataLoader worker (pid 7) is killed"), ValueError("x"), KeyboardInterrupt()):
        with interruptible():
            assert as_interrupt(error) is error


def test_a_forked_worker_dies_of_the_signal() -> None:
    """It must not continue as a second main process."""
    with interruptible():
        child = os.fork()
        if child == 0:
            try:
                time.sleep(10)
            finally:
                os._exit(1)
        time.sleep(0.1)
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGTERM


def test_nested_blocks() -> None:
    """Commands are interruptible as a whole, and may call interruptible functions."""
    with pytest.raises(Interrupted) as caught, interruptible():
        with interruptible():
            swallow(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        raise RuntimeError("the consequence")
    assert caught.value.exit_code == 143


@pytest.mark.parametrize(("wait", "code"), [(0.0, 0), (AGAIN + 0.1, -signal.SIGTERM)])
def test_a_second_signal_ends_the_process(wait: float, code: int) -> None:
    """``timeout`` and shells signal a process and its group, which counts as one signal."""
    child = os.fork()
    if child == 0:
        try:
            with interruptible():
                swallow(signal.SIGTERM)
                time.sleep(wait)
                signal.raise_signal(signal.SIGTERM)
                os._exit(0)
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == code
