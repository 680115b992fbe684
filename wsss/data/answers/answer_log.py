"""Append to a table of answers; each answer is written to disk before it is confirmed.

Only one process writes to a table at a time: the file itself is locked. An answer is one write at the end of the file,
followed by fsync; a process killed in between leaves at most one incomplete line, which is removed at the next start.
The answer in it was never confirmed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from wsss.data.answers.answer_rows import HEADER, Answer, answer_line, decoded, parse_answers, read_content
from wsss.errors import InvalidInput, RunFailed
from wsss.io.files.atomic import convert_os_errors, sync_folder
from wsss.io.files.locking import acquire, release

Log = Callable[[str], None]


class AnswerLog:
    """A table of answers, open for appending; `close` releases its lock.

    Args:
        path: the table; created if it does not exist.

    Raises:
        InvalidInput: the file is not a table of answers, has an invalid row, or is in use. It is not changed then.
        RunFailed: it cannot be written.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self.path = path.resolve()
        with convert_os_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = acquire(self.path, timeout=1.0)
        if descriptor is None:
            raise InvalidInput(
                "another `wsss ask` is using this file",
                subject=path,
                hint="Open its page in another browser window instead, or write to another file (--answers FILE).",
            )
        self._descriptor = descriptor
        try:
            self.answers = self._load(log)
        except BaseException:
            self.close()
            raise

    def append(self, answers: Sequence[Answer]) -> None:
        """Write answers to the end of the file, and flush it to the disk.

        Raises:
            RunFailed: nothing was written: the disk is full, or another program has changed or replaced the file.
        """
        self._require_unchanged()
        content = "".join(map(answer_line, answers)).encode()
        try:
            with convert_os_errors(self.path):
                self._write(content)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(content)

    def close(self) -> None:
        """Release the lock."""
        release(self._descriptor)

    def _write(self, content: bytes) -> None:
        written = 0
        while written < len(content):
            written += os.pwrite(self._descriptor, content[written:], self._size + written)
        os.fsync(self._descriptor)

    def _require_unchanged(self) -> None:
        try:
            same = os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            same = False
        if not same or os.fstat(self._descriptor).st_size != self._size:
            raise RunFailed(
                "another program has changed it since it was opened, so nothing more is written to it",
                subject=self.path,
                hint="Close the other program, then run `wsss ask` again; answers that were confirmed are kept.",
            )

    def _load(self, log: Log) -> list[Answer]:
        """Read the file, repair its last line, and return its rows."""
        content = read_content(self.path)
        complete, tail = content[: content.rfind(b"\n") + 1], content[content.rfind(b"\n") + 1 :]
        if not complete and HEADER.encode().startswith(tail):  # empty, or cut off within the header
            tail = b""
            with convert_os_errors(self.path):
                complete = self._start()
        answers = parse_answers(decoded(complete, self.path), self.path)
        self._size = len(complete)
        return [*answers, *self._repair(complete, tail, log)]

    def _start(self) -> bytes:
        """Write the header. The file is already locked, so that no other process can have written it."""
        os.ftruncate(self._descriptor, 0)
        self._size = 0
        self._write(HEADER.encode())
        sync_folder(self.path.parent)
        return HEADER.encode()

    def _repair(self, complete: bytes, tail: bytes, log: Log) -> list[Answer]:
        """Complete the last line if only its end is missing, or remove it."""
        if not tail:
            return []
        try:
            rows = parse_answers(f"{HEADER}{tail.decode()}\n", self.path)
        except (InvalidInput, UnicodeDecodeError):
            rows = []
        with convert_os_errors(self.path):
            os.ftruncate(self._descriptor, len(complete))
            self._write(tail + b"\n" if rows else b"")
        self._size += len(tail) + 1 if rows else 0
        what = "completed the last line" if rows else "removed an incomplete line; its answer was never confirmed"
        log(f"{self.path}: {what}: {tail.decode(errors='replace')}")
        return rows
