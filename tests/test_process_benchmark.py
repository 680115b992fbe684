"""benchmarks/processes.py measures the stages of a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def test_each_stage_that_ran_has_its_times(tmp_path: Path) -> None:
    words = ["run", str(ROOT / "benchmarks" / "processes.yaml"), "--run-dir", str(tmp_path / "run"), "--until", "tiles"]
    times = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        call = [sys.executable, str(ROOT / "benchmarks" / "processes.py"), "run-once", str(tmp_path / name), *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        times.append(json.loads((tmp_path / name / "0.json").read_text()))
    (wall, cpu) = times[0].pop("tiles")
    assert wall > 0 and cpu > 0
    assert times == [{}, {}]  # nothing else ran, and a finished stage has no times
