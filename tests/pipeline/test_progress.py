from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock

from wsss.io.text.times import duration
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.store.progress_note import NOTE, read_note


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_flood_of_plain_lines(tmp_path: Path, clock: Clock) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.start("cam", tmp_path)
    advance = reporter.track("maps", 80)
    for _ in range(80):
        clock.now += 0.25
        advance(1)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "cam maps 20/80 (25 %), 15 s left",
        "cam maps 40/80 (50 %), 10 s left",
        "cam maps 60/80 (75 %), 5.0 s left",
    ]


def test_the_label_does_not_repeat_the_stage(tmp_path: Path, clock: Clock) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.start("cam@seed=1", tmp_path)
    clock.now = 10
    reporter.track("cam", 10)(0)
    advance = reporter.track("cam", 10)
    clock.now = 20
    advance(5)
    assert stream.getvalue() == "cam@seed=1 5/10 (50 %), 10 s left\n"


def test_short_work_prints_nothing(tmp_path: Path, clock: Clock) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.start("cam", tmp_path)
    reporter.track("maps", 3)(3)
    reporter.stop()
    assert stream.getvalue() == ""


def test_notes_of_an_interrupted_stage(tmp_path: Path, clock: Clock) -> None:
    reporter = Reporter(io.StringIO())
    reporter.start("cam", tmp_path)
    advance = reporter.track("maps", 10, 2)
    clock.now = 3
    advance(4)
    assert read_note(tmp_path) == {"description": "maps", "done": 6, "total": 10}
    reporter.interrupt()
    assert read_note(tmp_path) is not None
    reporter.start("cam", tmp_path)
    reporter.stop()
    assert read_note(tmp_path) is None
    (tmp_path / NOTE).write_text(json.dumps([1]))
    assert read_note(tmp_path) is None


def test_bars_on_a_terminal(tmp_path: Path) -> None:
    stream = Terminal()
    reporter = Reporter(stream)
    reporter.start("cam", tmp_path)
    for total in (2, 5):
        advance = reporter.track("maps", total)
        for _ in range(total):
            advance(1)
    reporter.log("a [bold]message[/bold]")
    reporter.stop()
    assert "cam maps" in stream.getvalue()
    assert "a [bold]message[/bold]" in stream.getvalue()


def test_messages_are_logged_to_the_file(tmp_path: Path, clock: Clock) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.file = tmp_path / "run.log"
    reporter.log("one\ntwo")
    assert stream.getvalue() == "one\ntwo\n"
    assert (tmp_path / "run.log").read_text() == "2030-01-01 00:00:00 one\n2030-01-01 00:00:00 two\n"
    reporter.file = tmp_path / "no such folder" / "run.log"
    reporter.log("a log that can't be written ends nothing")


def test_a_quiet_reporter_writes_nothing(tmp_path: Path) -> None:
    stream = Terminal()
    reporter = Reporter(stream, quiet=True)
    reporter.file = tmp_path / "run.log"
    reporter.start("cam", tmp_path)
    reporter.track("maps", 2)(2)
    reporter.log("x")
    reporter.stop()
    assert stream.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_total_of_zero(tmp_path: Path, clock: Clock) -> None:
    stream = io.StringIO()
    reporter: Any = Reporter(stream)
    reporter.start("cam", tmp_path)
    advance = reporter.track("maps", 0)
    clock.now = 100
    advance(0)
    assert "nan" not in stream.getvalue() and "inf" not in stream.getvalue()


def test_a_closed_stderr_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    reporter = Reporter()
    reporter.start("make", tmp_path)
    reporter.log("a message")
    reporter.track("making", 2)(1)
    reporter.stop()
    assert reporter.stream.name == os.devnull
    reporter.stream.close()
