"""Runs killed at random times and resumed with other numbers of processes, threads and workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tinyrun import environment

HARNESS = Path(__file__).parent / "support" / "randomkills.py"


@pytest.mark.slow
def test_killed_runs_end_with_the_same_bytes() -> None:
    """One minute of ``python tests/support/randomkills.py``."""
    call = [sys.executable, str(HARNESS), "--kills", "16", "--seed", "5"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=1200, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout.splitlines()[0]
