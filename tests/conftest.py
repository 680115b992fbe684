"""Puts the helpers in ``tests/support`` on the path, and shares the cores out to the processes that run tests.

Hypothesis' deadline of 200 ms per example is off: how long one takes says how busy the machine is, not what the code
does, and on a busy one a test failed for nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import hypothesis

# Each of several test processes (pytest-xdist) has a core of its own; OpenMP threads that wait for one would only spin.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started by nohup, or in the background of a shell, this process ignores signals, and so would those that it starts.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

sys.path.insert(0, str(Path(__file__).parent / "support"))

hypothesis.settings.register_profile("wsss", deadline=None)
hypothesis.settings.load_profile("wsss")
