"""Messages and progress: bars on a terminal, plain lines elsewhere, and a note for ``wsss status``."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from wsss.io.files.contained import open_regular
from wsss.io.text.instance_ids import read_instance_id
from wsss.io.text.printable import printable
from wsss.pipeline.run.estimate import Steps, time_left_column
from wsss.pipeline.store.progress_note import delete_note, write_note

if TYPE_CHECKING:
    from rich.console import Console

LINE_EVERY = 5.0
"""Seconds between two plain lines."""

NOTE_EVERY = 2.0
"""Seconds between two notes."""

SILENCE = 30.0
"""Seconds without a finished step after which a plain line names the current one."""


class Reporter:
    """Messages and progress of a run, on stderr and in ``run.log``.

    Args:
        stream: output stream (default: stderr at the time of the call).
        quiet: no output on the stream (ranks other than the first).
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self.stream: TextIO = stream or sys.stderr  # which is None in a process that was started without one
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
        """Print a message above the bars and append it to ``run.log``, with control characters escaped."""
        message = printable(message)
        self.log_to_file(message)
        if self.quiet:
            return
        if self._bars is not None:
            self._bars.console.print(message, markup=False)
        else:
            print(message, file=self.stream, flush=True)

    def log_to_file(self, message: str) -> None:
        """Append a message with the time to ``run.log`` only. A log that is not writable does not end a run."""
        if self.file is None or self.quiet:
            return
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with contextlib.suppress(OSError), os.fdopen(open_regular(self.file, flags), "a", encoding="utf-8") as file:
            file.writelines(f"{stamp} {line}\n" for line in printable(message).splitlines() or [""])

    def start(self, stage: str, folder: Path | None) -> None:
        """Start a stage.

        Args:
            stage: its id, shown before its bars.
            folder: folder of its progress note, if it has one.
        """
        self.stage, self.folder = stage, folder
        if self.quiet:
            return
        if not self.stream.isatty():
            self._stopped = threading.Event()
            threading.Thread(target=self._tick_until, args=(self._stopped,), daemon=True).start()
            return
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

    def stop(self) -> None:
        """End a stage and remove its bars and its note."""
        if self._stopped is not None:
            self._stopped.set()
            self._stopped = None
        self._state = None
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        if self.folder is not None and not self.quiet:
            delete_note(self.folder)
        self._tasks = []
        self.stage, self.folder = "", None

    @contextlib.contextmanager
    def working(self, name: str) -> Iterator[None]:
        """Show progress until the end of the block; ``name`` is shown before its bars."""
        self.start(name, None)
        try:
            yield
        finally:
            self.stop()

    def interrupt(self) -> None:
        """End an unfinished stage: its bars are removed, its note is kept for ``wsss status``."""
        self.folder = None
        self.stop()

    def track(self, description: str, total: int, done: int = 0) -> Callable[[int], None]:
        """Start a bar; return a function that advances it."""
        if self.quiet:
            return lambda steps: None
        state = Steps(description, total, done, time.monotonic())
        return self._lines(state) if self._bars is None else self._bar(state)

    def _bar(self, state: Steps) -> Callable[[int], None]:
        bars = self._bars
        for task in self._tasks:  # one bar at a time: hide the stage's earlier ones
            if bars.tasks[bars.task_ids.index(task)].finished:
                bars.update(task, visible=False)
        task = bars.add_task(self._label(state.description), total=state.total, completed=state.done, state=state)
        self._tasks.append(task)

        def advance(steps: int) -> None:
            state.advance(steps, time.monotonic())
            bars.advance(task, steps)
            self._note(state)

        return advance

    def _lines(self, state: Steps) -> Callable[[int], None]:
        self._state = state

        def advance(steps: int) -> None:
            state.advance(steps, time.monotonic())
            if time.monotonic() - state.shown >= LINE_EVERY and state.done < state.total:
                self._print_line(state)
            self._note(state)

        return advance

    def tick(self) -> None:
        """Print a plain line if none was printed for `SILENCE` seconds."""
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
        """Return the label of a bar: the stage, and the description if it differs."""
        return self.stage if description == read_instance_id(self.stage)[0] else f"{self.stage} {description}".strip()

    def _note(self, state: Steps) -> None:
        now = time.monotonic()
        if self.folder is not None and now - state.noted >= NOTE_EVERY:
            state.noted = now
            write_note(self.folder, state.description, state.done, state.total)
