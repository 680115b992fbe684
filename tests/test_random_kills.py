"""Runs killed at random times and resumed with other numbers of processes, threads and workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tinyrun import wsss

HARNESS = Path(__file__).parent / "support" / "randomkills.py"
BY_STAGE = HARNESS.with_name("rankkills.py")


@pytest.mark.slow
def test_killed_runs_end_with_the_same_bytes() -> None:
    """A few kills of ``python tests/support/randomkills.py``."""
    done = wsss("--script", str(HARNESS), "--kills", "5", "--seed", "5", timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout.splitlines()[0]


@pytest.mark.slow
def test_runs_of_which_one_process_was_killed() -> None:
    """Three kills of ``python tests/support/rankkills.py``."""
    stages = ("affinity", "propagate", "snap")
    done = wsss("--script", str(BY_STAGE), "--stages", *stages, "--kills", "3", "--seed", "2", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("3 kills, 0 failures"), done.stdout
