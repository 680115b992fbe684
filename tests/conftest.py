"""Puts the helpers in ``tests/support`` on the path, and shares the cores out to the processes that run tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Each of several test processes (pytest-xdist) has a core of its own; OpenMP threads that wait for one would only spin.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent / "support"))
