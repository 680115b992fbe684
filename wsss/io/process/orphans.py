"""Processes that end with the one that started them, also when that one is killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

EVERY = 1.0
"""Seconds between two looks at the parent, where the system can't send a signal."""

_SET_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of Linux's ``prctl``."""


def end_with_parent(parent: int) -> None:
    """End this process as soon as its parent has ended, for whatever reason.

    On Linux the kernel does it, also in the middle of a long native call; elsewhere a thread, when Python runs again.

    Args:
        parent: the parent's process id, as the parent knows it.
    """
    if not (sys.platform.startswith("linux") and _ask_kernel()):
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    elif os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def _ask_kernel() -> bool:
    import ctypes

    try:
        return not ctypes.CDLL(None, use_errno=True).prctl(_SET_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    except (OSError, AttributeError):
        return False


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)
