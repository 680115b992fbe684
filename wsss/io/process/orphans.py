"""Child processes that end with their parent, even if the parent is killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

INTERVAL = 1.0
"""Seconds between two checks of the parent, on systems without a death signal."""

_PR_SET_PDEATHSIG = 1
"""Option of Linux's ``prctl``."""


def end_with_parent(parent: int) -> None:
    """End this process as soon as its parent ends, for whatever reason.

    On Linux the kernel does it, even during a long native call; elsewhere a thread polls the parent.

    Args:
        parent: the parent's process id, determined by the parent.
    """
    if not (sys.platform.startswith("linux") and _set_death_signal()):
        threading.Thread(target=_poll, args=(parent,), daemon=True).start()
    elif os.getppid() != parent:  # the parent ended before the call
        os._exit(1)


def _set_death_signal() -> bool:
    import ctypes

    try:
        return not ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (OSError, AttributeError):
        return False


def _poll(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    os._exit(1)
