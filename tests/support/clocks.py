"""A clock for tests, which set its time."""

from __future__ import annotations


class Clock:
    """Replaces the module ``time``; a test sets ``now``, in seconds."""

    now = 0.0

    def monotonic(self) -> float:
        """Return the time that was set."""
        return self.now

    def strftime(self, format: str) -> str:
        """Return a fixed time."""
        return "2030-01-01 00:00:00"
