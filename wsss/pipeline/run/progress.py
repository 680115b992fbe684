"""How far long work is: bars on a terminal, now and then a line elsewhere; and a note for ``wsss status``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from wsss.io.files.contained import open_regular
from wsss.io.text.json_files import read_json
from wsss.io.text.printable import printable
from wsss.pipeline.run.estimate import Steps, time_left_column
from wsss.pipeline.run.estimate import duration as duration

if TYPE_CHECKING:
    from rich.console import Console

NOTE = ".wsss-progress.json"
LINE_EVERY = 5.0
NOTE_EVERY = 2.0
"""Seconds between two plain lines, and between two notes."""

SILENCE = 30.0
"""Seconds without a plain line after which one says what takes so long."""


class NoProgress:
    """Shows nothing (tests, ranks other than the first)."""

    def track(self, description: str, total: int, done: int = 0) -> Callable[[int], None]:
        """Return a function that does nothing."""
        return lambda steps: None


class Reporter:
    """Messages and progress of a run, on stderr and in ``run.log``.

    Args:
        stream: where to show them (default: stderr at the time of the call).
        quiet: show nothing on the stream (ranks other than the first).
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self.stream: TextIO = stream or sys.stderr  # which is None where it was closed before we started
        if self.stream is None:
            self.stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        self.quiet = quiet
        self.file: Path | None = None
        self.stage = ""
        self.folder: Path | None = None
        self._bars: Any = None
        self._tasks: list[Any] = []
        self._state: Steps | None = None
        self._stopped: threading.Event | None = None

    @property
    def console(self) -> Console:
        """A rich console on the stream."""
        from rich.console import Console

        return Console(file=self.stream, highlight=False, soft_wrap=True)

    def log(self, message: str) -> None:
        """Show one message, above the bars, and add it to ``run.log``; control characters show as escapes."""
        message = printable(message)
        self.note_in_file(message)
        if self.quiet:
            return
        if self._bars is not None:
            self._bars.console.print(message, markup=False)
        else:
            print(message, file=self.stream, flush=True)

    def note_in_file(self, message: str) -> None:
        """Add a message to ``run.log`` only, with the time. A log that can't be written does not end a run."""
        if self.file is None or self.quiet:
            return
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with contextlib.suppress(OSError), os.fdopen(open_regular(self.file, flags), "a", encoding="utf-8") as file:
            file.writelines(f"{stamp} {line}\n" for line in printable(message).splitlines() or [""])

    def start(self, stage: str, folder: Path | None) -> None:
        """Begin a stage: its bars carry its name, its notes go to its folder, if it has one."""
        self.stage, self.folder = stage, folder
        if not self.quiet and self.stream.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                time_left_column(lambda: time.monotonic()),
                console=self.console,
                transient=True,
            )
            self._bars.start()
        elif not self.quiet:
            self._stopped = threading.Event()
            threading.Thread(target=self._tick_until, args=(self._stopped,), daemon=True).start()

    def stop(self) -> None:
        """End a stage: its bars go."""
        if self._stopped is not None:
            self._stopped.set()
            self._stopped = None
        self._state = None
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        if self.folder is not None and not self.quiet:
            with contextlib.suppress(OSError):
                (self.folder / NOTE).unlink(missing_ok=True)
        self._tasks = []
        self.stage, self.folder = "", None

    def interrupt(self) -> None:
        """End a stage that is not finished: its bars go, its last note stays for ``wsss status``."""
        self.folder = None
        self.stop()

    def track(self, description: str, total: int, done: int = 0) -> Callable[[int], None]:
        """Start a bar; return a function that advances it."""
        if self.quiet:
            return lambda steps: None
        if self._bars is not None:
            return self._bar(description, total, done)
        return self._lines(description, total, done)

    def _bar(self, description: str, total: int, done: int) -> Callable[[int], None]:
        bars = self._bars
        for task in self._tasks:  # one bar at a time: a stage's earlier ones are history
            if bars.tasks[bars.task_ids.index(task)].finished:
                bars.update(task, visible=False)
        state = Steps(description, total, done, time.monotonic())
        task = bars.add_task(self._label(description), total=total, completed=done, state=state)
        self._tasks.append(task)

        def advance(steps: int) -> None:
            state.advance(steps, time.monotonic())
            bars.advance(task, steps)
            self._note(state)

        return advance

    def _lines(self, description: str, total: int, done: int) -> Callable[[int], None]:
        state = self._state = Steps(description, total, done, time.monotonic())

        def advance(steps: int) -> None:
            state.advance(steps, time.monotonic())
            if time.monotonic() - state.shown >= LINE_EVERY and state.done < total:
                self._print_line(state)
            self._note(state)

        return advance

    def tick(self) -> None:
        """Print a plain line where none was printed for a while: something takes long, and how long is said."""
        state = self._state
        if state is not None and state.done < state.total and time.monotonic() - state.shown >= SILENCE:
            self._print_line(state)

    def _tick_until(self, stopped: threading.Event) -> None:
        while not stopped.wait(LINE_EVERY):
            self.tick()

    def _print_line(self, state: Steps) -> None:
        state.shown = now = time.monotonic()
        print(f"{self._label(state.description)} {state.line(now)}", file=self.stream, flush=True)

    def _label(self, description: str) -> str:
        """Return what stands before a bar: the stage, and what it does where that says more."""
        return self.stage if description == self.stage.partition("@")[0] else f"{self.stage} {description}".strip()

    def _note(self, state: Steps) -> None:
        """Leave word of the progress in the stage's folder; never worth an error."""
        now = time.monotonic()
        if self.folder is None or now - state.noted < NOTE_EVERY:
            return
        state.noted = now
        note = {"description": state.description, "done": state.done, "total": state.total}
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with contextlib.suppress(OSError), os.fdopen(open_regular(self.folder / NOTE, flags), "w") as file:
            json.dump(note, file)


def read_note(folder: Path) -> dict[str, Any] | None:
    """Return the last progress note of a stage: ``{"description", "done", "total"}``, or ``None``."""
    try:
        note = read_json(folder / NOTE)
    except (OSError, ValueError):
        return None
    if not isinstance(note, dict) or not isinstance(note.get("description"), str):
        return None
    counts = (note.get("done"), note.get("total"))
    return note if all(isinstance(count, int) and not isinstance(count, bool) for count in counts) else None
