"""Output that nobody reads any more, machines that run out of something, and records that are repaired."""

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
from toycli import HERE, environment, start_toy, toy
from toys import make_toy_pipeline


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return make_toy_pipeline(tmp_path)


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_ended_is_no_failure_of_the_run(here: Path, closed: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writing}
    command = [sys.executable, str(HERE / "toycli.py"), "run", "p.yaml", "--json"]
    done = subprocess.run(command, cwd=here, env=environment(), text=True, timeout=60, **streams)  # type: ignore[call-overload]
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in (done.stderr or "")
    assert json.loads((here / "runs/toy/run.json").read_text())["status"] == "done"
    if closed == "stderr":
        assert json.loads(done.stdout)["status"] == "done"


def test_too_many_open_files_is_explained(here: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))

    command = [sys.executable, str(HERE / "toycli.py"), "run", "p.yaml", "--workers", "4"]
    done = subprocess.run(
        command, cwd=here, env=environment(), text=True, capture_output=True, timeout=60, preexec_fn=few
    )
    assert done.returncode == 1
    assert "Too many open files: the limit of a process is 9 (ulimit -n)" in done.stderr
    assert "bug" not in done.stderr and "Traceback" not in done.stderr


def test_a_lost_record_is_repaired_and_the_stage_skipped(here: Path) -> None:
    assert toy("run", "p.yaml", cwd=here).returncode == 0
    (here / "runs/toy/run.json").unlink()
    (here / "runs/toy/make/stage.json").write_text("{")
    lost = toy("status", "toy", cwd=here)
    assert lost.returncode == 2 and "wsss status --repair runs/toy" in lost.stderr
    done = toy("status", "toy", "--repair", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    assert [one["restored"] for one in json.loads(done.stdout)["records"]] == [True, True]
    again = json.loads(toy("run", "p.yaml", "--json", cwd=here).stdout)
    assert [stage["status"] for stage in again["stages"]] == ["skipped", "skipped"]
    (here / "runs/toy/make/stage.json").unlink()
    (here / "runs/toy/make/.wsss-stage.json").unlink()
    refused = toy("status", "toy", "--repair", cwd=here)
    assert refused.returncode == 1 and "not restored: runs/toy/make/stage.json: lost" in refused.stdout


@pytest.mark.slow
def test_ctrl_c_while_processes_start_prints_no_traceback(here: Path) -> None:
    for number in range(10):
        process = start_toy(
            *("run", "p.yaml", "--run-dir", f"runs/{number}", "--set", "make.pause=2", "--workers", "2"),
            cwd=here,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not (here / f"runs/{number}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(number / 5)
        os.killpg(process.pid, signal.SIGINT)
        _, messages = process.communicate(timeout=60)
        assert process.returncode == 130 or not messages, messages
        assert "Traceback" not in messages and "bug" not in messages
