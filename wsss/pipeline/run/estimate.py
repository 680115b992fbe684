"""How long work will take: from the steps that are made, and the time that the present one takes already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsss.io.process.shared_state import current_items

LONG = 5.0
"""Seconds after which an image that takes longer than the others did is named."""


class Steps:
    """How far one piece of work is.

    Args:
        description: what is done.
        total, done: steps in all, and made before.
        now: the time, in seconds.
    """

    def __init__(self, description: str, total: int, done: int, now: float) -> None:
        self.description, self.total, self.done = description, total, done
        self.first = done
        self.begin = self.last = self.shown = self.noted = now

    def advance(self, steps: int, now: float) -> None:
        """Count steps that have been made."""
        self.done += steps
        if steps:
            self.last = now

    def seconds_left(self, now: float) -> float | None:
        """Return the estimated seconds to the end, ``None`` before the first step."""
        made = self.done - self.first
        if made <= 0:
            return None
        return seconds_left(self.total - self.done, (self.last - self.begin) / made, now - self.last)

    def slow(self, now: float) -> str:
        """Return which image takes long, and how long, where one does; else an empty text."""
        waited, names = now - self.last, current_items()
        made = self.done - self.first
        if waited < LONG or (made > 0 and waited < 3 * (self.last - self.begin) / made):
            return ""
        return f"{names[0] if names else 'the present step'} for {duration(waited)}"

    def line(self, now: float) -> str:
        """Return the state as a plain line: ``3/4 (75 %), 12 s left``."""
        share = f" ({100 * self.done // self.total} %)" if self.total else ""
        left = self.seconds_left(now)
        parts = [
            f"{self.done}/{self.total}{share}",
            duration(left) + " left" if left is not None else "",
            self.slow(now),
        ]
        return ", ".join(part for part in parts if part)


def seconds_left(steps: int, usual: float, current: float) -> float:
    """Return the estimated seconds for the steps that are left.

    Args:
        steps: number of them; one is being made.
        usual: seconds that a step took so far, on average.
        current: seconds spent on the present one. One that takes longer than usual is expected to take as long again:
            the estimate grows with it, and is never below it.
    """
    if steps <= 0:
        return 0.0
    return (steps - 1) * usual + max(usual - current, current)


def time_left_column(clock: Callable[[], float]) -> Any:
    """Return the last column of a bar: the time left, or after its end the time it took.

    Args:
        clock: returns the time in seconds.
    """
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        def render(self, task: Task) -> Text:
            state: Steps = task.fields["state"]
            if task.finished:
                return Text(duration(state.last - state.begin), style="progress.elapsed")
            now = clock()
            left = state.seconds_left(now)
            parts = [f"{duration(left)} left" if left is not None else "", state.slow(now)]
            return Text(", ".join(part for part in parts if part), style="progress.remaining")

    return TimeLeft()


def duration(seconds: float) -> str:
    """Return a time as people read it: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
