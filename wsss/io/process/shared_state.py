"""What this process is doing, in memory that a supervising process shares: it reads it if this one is killed.

A killed process can neither print how to resume nor delete its temporary folders; `wsss.pipeline.processes.supervise`
does both for it. In a process without a supervisor nothing is shared, and nothing here has an effect.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

SLOT = 1 << 15
"""Bytes of each of the two halves of the memory; one is written while the other stays valid."""


@dataclass
class State:
    """What to do for a process that was killed.

    Args:
        message: printed on stderr after an interrupt.
        document: printed on stdout after an interrupt.
        failure: printed on stdout after a crash.
        items: names of the images being worked on.
        paths: temporary files and folders to delete.
        batch_size: images that go through a network together, 1 where none do.
    """

    message: str = ""
    document: str = ""
    failure: str = ""
    items: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    batch_size: int = 1


class Memory:
    """A `State` in anonymous shared memory: one process writes it, the process that forked it reads it."""

    def __init__(self) -> None:
        self._bytes = mmap.mmap(-1, 2 * SLOT + 1)

    def write(self, state: State) -> None:
        """Replace the state; one that doesn't fit leaves the former one."""
        content = json.dumps(asdict(state)).encode()
        if len(content) > SLOT:
            return
        other = 1 - self._bytes[0]
        self._bytes[1 + other * SLOT : 1 + (other + 1) * SLOT] = content.ljust(SLOT)
        self._bytes[0] = other  # one byte: a process killed before this leaves the former state whole

    def read(self) -> State:
        """Return the last state that was written completely."""
        valid = self._bytes[0]
        content = self._bytes[1 + valid * SLOT : 1 + (valid + 1) * SLOT].strip(b"\0 ")
        return State(**json.loads(content)) if content else State()


_memory: Memory | None = None
_writer = 0
_state = State()
_lock = threading.RLock()


def share(memory: Memory) -> None:
    """Write this process's state to ``memory`` from now on; processes forked from it don't."""
    global _memory, _writer
    _memory, _writer = memory, os.getpid()
    _publish()


def is_shared() -> bool:
    """Tell whether this process has a supervisor."""
    return _memory is not None and os.getpid() == _writer


def set_message(message: str) -> None:
    """Set what is printed on stderr after an interrupt."""
    with _lock:
        _state.message = message
        _publish()


def set_documents(interrupted: str, failed: str) -> None:
    """Set what is printed on stdout if this process is killed: because of an interrupt, or by the system."""
    with _lock:
        _state.document, _state.failure = interrupted, failed
        _publish()


def clear_messages() -> None:
    """Leave nothing to print: this process has printed it."""
    set_message("")
    set_documents("", "")


def message() -> str:
    """Return the message set last by `set_message`."""
    return _state.message


def working_on(items: Iterable[str]) -> None:
    """Set the names of the images that are being worked on: a message about a killed process names them."""
    with _lock:
        _state.items = list(items)
        _publish()


def current_items() -> list[str]:
    """Return the names of the images that are being worked on."""
    return list(_state.items)


@contextmanager
def batches_of(size: int | None) -> Iterator[None]:
    """Have messages about memory name the batch size of the work in the block; ``None``: it has none."""
    before = _state.batch_size
    try:
        with _lock:
            _state.batch_size = size or 1
            _publish()
        yield
    finally:
        with _lock:
            _state.batch_size = before
            _publish()


def batch_size() -> int:
    """Return the batch size set by `batches_of`, 1 without one."""
    return _state.batch_size


@contextmanager
def deleted_if_killed(path: Path) -> Iterator[None]:
    """Have the supervisor delete a temporary file or folder if this process is killed inside the block."""
    text = str(path.absolute())
    with _lock:
        _state.paths.append(text)
        _publish()
    try:
        yield
    finally:
        with _lock:
            _state.paths.remove(text)
            _publish()


def delete(paths: Iterable[str]) -> None:
    """Delete files and folders; one that is gone or can't be deleted is left."""
    for path in map(Path, paths):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _publish() -> None:
    if _memory is not None and is_shared():
        _memory.write(_state)
