"""Locks on files: the operating system's (``flock``), which end with the process that holds them.

Not every file system has them (some network drives). That is an error of its own here,
never taken for a lock that another process holds.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from wsss.errors import RunFailed
from wsss.io.files.contained import open_regular

EVERY = 0.05
"""Seconds between two attempts to get a lock."""

State = Literal["free", "held", "unknown"]

HINT = (
    "Put the run on a local disk (--run-dir or --out), or have the network file system mounted with locks; results can "
    "be moved when they are finished."
)


def lock_state(path: Path) -> tuple[State, str]:
    """Return whether a process holds the lock of a file, and why that is unknown; nothing is changed.

    Args:
        path: the file; a missing one, or something that is no file, is locked by nobody.
    """
    try:
        descriptor = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    except PermissionError as error:
        return "unknown", f"{path} can't be opened: {error.strerror}"
    except OSError:
        return "free", ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held", ""
    except OSError as error:
        return "unknown", f"{path} can't be locked: {error.strerror}"
    finally:
        os.close(descriptor)
    return "free", ""


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file (made if missing) inside the block; wait for other processes.

    Raises:
        OSError: the file can't be made, or is a link, a folder or a pipe.
        RunFailed: its file system has no locks.
    """
    while (descriptor := acquire(path, timeout=1.0)) is None:
        pass
    try:
        yield
    finally:
        release(descriptor)


def acquire(path: Path, timeout: float) -> int | None:
    """Return a descriptor that holds the lock until `release`; ``None`` where another process still holds it.

    Args:
        path: of the file, made if missing.
        timeout: seconds to wait for another process.

    Raises:
        OSError, RunFailed: see `file_lock`.
    """
    end = time.monotonic() + timeout
    while True:
        descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
            os.close(descriptor)
            continue
        except BlockingIOError:
            os.close(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise RunFailed(f"{path} can't be locked: {error.strerror}.", hint=HINT) from error
        if time.monotonic() >= end:
            return None
        time.sleep(EVERY)


def release(descriptor: int) -> None:
    """Give a lock back, also where a forked process has a copy of the descriptor."""
    with suppress(OSError):  # a network drive that is gone has no lock either
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file is still the one of that name: who held the lock before may have deleted it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
