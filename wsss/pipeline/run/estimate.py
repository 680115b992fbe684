"""Estimated time left, from the steps done and the time spent on the current one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsss.io.process.shared_state import current_items
from wsss.io.text.times import duration

SLOW_AFTER = 5.0
"""Minimum number of seconds after which an image that takes longer than the others is named."""


class Steps:
    """The state of one piece of work.

    Args:
        total, done: number of all steps, and of those done before.
        now: the time in seconds.
    """

    def __init__(self, description: str, total: int, done: int, now: float) -> None:
        self.description, self.total, self.done = description, total, done
        self.first = done
        self.begin = self.last = self.shown = self.noted = now

    def advance(self, steps: int, now: float) -> None:
        """Count finished steps."""
        self.done += steps
        if steps:
            self.last = now

    def seconds_left(self, now: float) -> float | None:
        """Return the estimated seconds to the end, ``None`` before the first step."""
        mean = self._mean_duration()
        return None if mean is None else seconds_left(self.total - self.done, mean, now - self.last)

    def slow(self, now: float) -> str:
        """Return the name of an image that takes long, with its time, or an empty string."""
        waited, names, mean = now - self.last, current_items(), self._mean_duration()
        if waited < SLOW_AFTER or (mean is not None and waited < 3 * mean):
            return ""
        return f"{names[0] if names else 'the current step'} for {duration(waited)}"

    def line(self, now: float) -> str:
        """Return the state as a plain line: ``3/4 (75 %), 12 s left``."""
        share = f" ({100 * self.done // self.total} %)" if self.total else ""
        return ", ".join(filter(None, (f"{self.done}/{self.total}{share}", self.time_left(now))))

    def time_left(self, now: float) -> str:
        """Return the time left and the slow image as text: ``12 s left, 2008_000002 for 9.0 s``."""
        left = self.seconds_left(now)
        return ", ".join(filter(None, (f"{duration(left)} left" if left is not None else "", self.slow(now))))

    def _mean_duration(self) -> float | None:
        """Return the mean number of seconds per step, ``None`` before the first."""
        done = self.done - self.first
        return (self.last - self.begin) / done if done > 0 else None


def seconds_left(steps: int, mean: float, current: float) -> float:
    """Return the estimated seconds for the remaining steps.

    Args:
        steps: number of remaining steps, including the current one.
        mean: mean number of seconds per step.
        current: seconds spent on the current step. Beyond the mean it is expected to take as long again, so the
            estimate grows with it and is never below it.
    """
    if steps <= 0:
        return 0.0
    return (steps - 1) * mean + max(mean - current, current)


def time_left_column(clock: Callable[[], float]) -> Any:
    """Return the last column of a progress bar: the time left, or at the end the time taken.

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
            return Text(state.time_left(clock()), style="progress.remaining")

    return TimeLeft()
