"""Runs killed at random times, resumed by other numbers of processes, threads and workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tinyrun import environment

HARNESS = Path(__file__).parent / "support" / "randomkills.py"


@pytest.mark.slow
def test_what_killed_runs_leave_is_that_of_undisturbed_ones() -> None:
    """A minute's share of what ``python tests/support/randomkills.py`` does for hours."""
    call = [sys.executable, str(HARNESS), "--kills", "16", "--seed", "5"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=1200, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout.splitlines()[0]
