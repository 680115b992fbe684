"""State of this process in memory shared with its supervisor, which reads it if the process is killed.

A killed process can neither print how to resume nor delete its temporary folders; its supervisor
(`wsss.pipeline.processes.supervise`) does. Without a supervisor, nothing in this module has an effect.
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
"""Bytes of each half of the memory; one half is written while the other stays valid."""


@dataclass
class State:
    """Instructions for the supervisor in case this process is killed.

    Args:
        message: printed on stderr after an interrupt.
        document: printed on stdout after an interrupt.
        failure: printed on stdout after a crash.
        items: names of the images in progress.
        paths: temporary files and folders to delete.
        batch_size: number of images per forward pass; 1 if there are no batches.
    """

    message: str = ""
    document: str = ""
    failure: str = ""
    items: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    batch_size: int = 1


class Memory:
    """A `State` in anonymous shared memory, written by one process and read by its parent."""

    def __init__(self) -> None:
        self._bytes = mmap.mmap(-1, 2 * SLOT + 1)

    def write(self, state: State) -> None:
        """Replace the state; a state that is too large is dropped."""
        content = json.dumps(asdict(state)).encode()
        if len(content) > SLOT:
            return
        other = 1 - self._bytes[0]
        self._bytes[1 + other * SLOT : 1 + (other + 1) * SLOT] = content.ljust(SLOT)
        self._bytes[0] = other  # a single byte, so that a kill never leaves a partial state

    def read(self) -> State:
        """Return the last complete state."""
        valid = self._bytes[0]
        content = self._bytes[1 + valid * SLOT : 1 + (valid + 1) * SLOT].strip(b"\0 ")
        return State(**json.loads(content)) if content else State()


_memory: Memory | None = None
_writer = 0
_state = State()
_lock = threading.RLock()


def share(memory: Memory) -> None:
    """Write the state of this process, but not of its forked children, to ``memory`` from now on."""
    global _memory, _writer
    _memory, _writer = memory, os.getpid()
    _publish()


def is_shared() -> bool:
    """Return whether this process has a supervisor."""
    return _memory is not None and os.getpid() == _writer


def set_message(message: str) -> None:
    """Set the text printed on stderr after an interrupt."""
    with _lock:
        _state.message = message
        _publish()


def set_documents(interrupted: str, failed: str) -> None:
    """Set the documents printed on stdout if this process is killed after an interrupt, or by the system."""
    with _lock:
        _state.document, _state.failure = interrupted, failed
        _publish()


def clear_messages() -> None:
    """Clear all texts, once this process has printed them itself."""
    set_message("")
    set_documents("", "")


def message() -> str:
    """Return the message to print if the process is interrupted; see `set_message`."""
    return _state.message


def set_current_items(items: Iterable[str]) -> None:
    """Set the names of the images in progress, for the message about a killed process."""
    with _lock:
        _state.items = list(items)
        _publish()


def current_items() -> list[str]:
    """Return the names of the images in progress."""
    return list(_state.items)


@contextmanager
def batches_of(size: int | None) -> Iterator[None]:
    """Set the batch size that messages about memory name inside the block; ``None``: no batches."""
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
    """Let the supervisor delete a temporary file or folder if this process is killed inside the block."""
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
    """Delete files and folders, ignoring errors."""
    for path in map(Path, paths):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _publish() -> None:
    if _memory is not None and is_shared():
        _memory.write(_state)
