"""File locks of the operating system (``flock``), which end with the process that holds them.

Some file systems (network drives) lack locks. That raises its own error and is never mistaken for a held lock.
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

INTERVAL = 0.05
"""Seconds between two attempts to acquire a lock."""

State = Literal["free", "held", "unknown"]

HINT = (
    "Put the run on a local disk (--run-dir or --out), or mount the network file system with locks; finished "
    "results can be moved."
)


def lock_state(path: Path) -> tuple[State, str]:
    """Return the state of a file's lock, and the reason if it is unknown.

    Args:
        path: the lock file; ``"free"`` if it is missing or not a regular file.
    """
    try:
        descriptor = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    except PermissionError as error:
        return "unknown", f"{path} cannot be opened: {error.strerror}"
    except OSError:
        return "free", ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held", ""
    except OSError as error:
        return "unknown", f"{path} cannot be locked: {error.strerror}"
    finally:
        os.close(descriptor)
    return "free", ""


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file (created if missing) inside the block, after waiting for other processes.

    Raises:
        OSError: the file cannot be created, or is not a regular file.
        RunFailed: the file system has no locks.
    """
    while (descriptor := acquire(path, timeout=1.0)) is None:
        pass
    try:
        yield
    finally:
        release(descriptor)


def acquire(path: Path, timeout: float) -> int | None:
    """Return a descriptor that holds the lock until `release`; ``None`` if another process still holds it.

    Args:
        path: the lock file, created if missing.
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
            raise RunFailed(f"cannot be locked ({error.strerror})", subject=path, hint=HINT) from error
        if time.monotonic() >= end:
            return None
        time.sleep(INTERVAL)


def release(descriptor: int) -> None:
    """Release a lock, even if a forked process has a copy of the descriptor."""
    with suppress(OSError):  # a disconnected network drive has no locks
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file still has that name: the previous holder of the lock may have deleted it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
