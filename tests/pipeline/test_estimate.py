"""Estimated times, with a fake clock."""

from __future__ import annotations

import io
from pathlib import Path

from clocks import Clock
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from wsss.io.process.shared_state import set_current_items
from wsss.pipeline.run.estimate import Steps, seconds_left, time_left_column
from wsss.pipeline.run.progress import SILENCE, Reporter

times = st.floats(0, 1e6)


@given(st.integers(1, 1000), times, times)
def test_the_estimate_is_at_least_the_time_spent_on_the_present_step(steps: int, mean: float, current: float) -> None:
    left = seconds_left(steps, mean, current)
    assert left >= current
    assert left >= (steps - 1) * mean


@given(st.integers(1, 1000), times, times, times)
def test_the_estimate_grows_during_a_slow_step(steps: int, mean: float, late: float, more: float) -> None:
    assert seconds_left(steps, mean, mean + late + more) >= seconds_left(steps, mean, mean + late)


def test_the_estimate_counts_down_during_a_usual_step() -> None:
    assert [seconds_left(3, 10, spent) for spent in (0, 2, 5)] == [30, 28, 25]
    assert seconds_left(0, 10, 99) == 0


def test_a_long_image_after_short_ones() -> None:
    """Three images of one second each, then one of minutes."""
    steps = Steps("crf", 4, 0, 0.0)
    for now in (1, 2, 3):
        steps.advance(1, now)
    assert steps.seconds_left(3) == 1
    assert [steps.seconds_left(3 + spent) for spent in (2, 60, 300)] == [2, 60, 300]
    set_current_items(["huge"])
    try:
        assert steps.line(3) == "3/4 (75 %), 1.0 s left"
        assert steps.line(4.5) == "3/4 (75 %), 1.5 s left"
        assert steps.line(123) == "3/4 (75 %), 2 min 0 s left, huge for 2 min 0 s"
    finally:
        set_current_items([])


def test_no_estimate_before_the_first_step() -> None:
    steps = Steps("crf", 4, 2, 0.0)
    assert steps.seconds_left(100) is None
    assert steps.line(1) == "2/4 (50 %)"
    assert steps.line(100) == "2/4 (50 %), the current step for 1 min 40 s"


def test_plain_lines_during_a_slow_step(tmp_path: Path, clock: Clock) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.start("crf", tmp_path)
    advance = reporter.track("crf", 2)
    clock.now = 10
    advance(1)
    for clock.now in (12, 10 + SILENCE - 1, 10 + SILENCE, 11 + SILENCE, 10 + 2 * SILENCE):
        reporter.tick()
    advance(1)
    for clock.now in (200, 300):
        reporter.tick()
    reporter.stop()
    reporter.tick()
    assert stream.getvalue().splitlines() == [
        "crf 1/2 (50 %), 10 s left",
        "crf 1/2 (50 %), 30 s left, the current step for 30 s",
        "crf 1/2 (50 %), 1 min 0 s left, the current step for 1 min 0 s",
    ]


def test_the_time_beside_a_bar(clock: Clock) -> None:
    stream = io.StringIO()
    bars = Progress(time_left_column(clock.monotonic), console=Console(file=stream, width=80))
    state = Steps("crf", 4, 0, 0.0)
    task = bars.add_task("crf", total=4, completed=0, state=state)

    def shown() -> str:
        return str(bars.columns[0](bars.tasks[0]))  # type: ignore[operator]

    for clock.now in (1, 2, 3):
        state.advance(1, clock.now)
        bars.advance(task)
    assert shown() == "1.0 s left"
    clock.now = 93
    assert shown() == "1 min 30 s left, the current step for 1 min 30 s"
    state.advance(1, clock.now)
    bars.advance(task)
    assert shown() == "1 min 33 s"
