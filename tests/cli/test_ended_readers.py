"""Closed output pipes, and exhausted resources."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clocks import wait_until
from toycli import HERE, environment, start_toy
from toys import make_toy_pipeline

RUN = [sys.executable, str(HERE / "toycli.py"), "run", "p.yaml"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return make_toy_pipeline(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_run_continues_after_its_reader_has_ended(here: Path, closed: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writing}
    done = subprocess.run([*RUN, "--json"], cwd=here, env=environment(), text=True, timeout=300, **streams)  # type: ignore[call-overload]
    os.close(writing)
    assert done.returncode == 0 and "Traceback" not in (done.stderr or ""), done.stderr
    assert json.loads((here / "runs/toy/run.json").read_text())["status"] == "done"
    if closed == "stderr":
        assert json.loads(done.stdout)["status"] == "done"


def test_too_many_open_files_are_reported(here: Path) -> None:
    done = subprocess.run(
        [*RUN, "--workers", "4"],
        cwd=here,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)),
    )
    assert done.returncode == 1 and "ulimit -n" in done.stderr
    assert "bug" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_ctrl_c_while_processes_start_prints_no_traceback(here: Path) -> None:
    for number in range(0, 10, 2):
        process = start_toy(
            *("run", "p.yaml", "--run-dir", f"runs/{number}", "--set", "make.pause=2", "--workers", "2"),
            cwd=here,
            start_new_session=True,
        )
        wait_until((here / f"runs/{number}").exists, 60)
        time.sleep(number / 5)
        os.killpg(process.pid, signal.SIGINT)
        _, messages = process.communicate(timeout=300)
        assert process.returncode == 130 or not messages, messages
        assert "Traceback" not in messages and "bug" not in messages
