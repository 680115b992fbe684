"""A clock that tests set, and waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Replaces the module ``time``; a test sets ``now``, in seconds."""

    now = 0.0

    def monotonic(self) -> float:
        """Return the time that was set."""
        return self.now

    def strftime(self, format: str) -> str:
        """Return a fixed time."""
        return "2030-01-01 00:00:00"


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition, which has to be met in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.02)
