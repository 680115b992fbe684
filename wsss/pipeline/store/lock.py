"""One process at a time in a run directory.

The lock is the operating system's (see `wsss.io.files.locking`) and ends with the process that holds it. A second file
names that process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from wsss.errors import RunFailed
from wsss.io.files.atomic import TEMPORARY, convert_os_errors, write_json
from wsss.io.files.contained import check_contained, check_regular
from wsss.io.files.json_files import read_json_object
from wsss.io.files.locking import State, acquire, lock_state, release
from wsss.io.text.times import timestamp
from wsss.pipeline.processes.supervise import visible_pid

LOCK = ".wsss-lock"
HOLDER = ".wsss-lock.json"
ORPHANS = 15.0
"""Seconds to wait for the child processes of a dead holder, which share its lock until they end."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    pid: int
    host: str
    start: str

    @property
    def is_dead(self) -> bool:
        """Whether the process ran on this machine and has ended."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def read_holder(folder: Path) -> Holder | None:
    """Return the process that holds the lock of a folder, or that was killed while it held it."""
    value = read_json_object(folder / HOLDER) or {}
    pid, host, start = (value.get(key) for key in ("pid", "host", "start"))
    if not isinstance(pid, int) or not 0 < pid < 2**31 or not isinstance(host, str) or not isinstance(start, str):
        return None
    return Holder(pid, host, start)


def lock_of(folder: Path) -> tuple[State, str]:
    """Return the state of the lock of a folder, and if it is unknown the reason; nothing is changed."""
    return lock_state(folder / LOCK)


@contextmanager
def run_lock(folder: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of an existing folder inside the block.

    Args:
        folder: a run directory or a stage's folder.
        log: prints one line if the lock of a dead process is taken over.

    Raises:
        RunFailed: another process holds it (the error names pid and host), or the file system has no locks.
        InvalidInput: the lock is a link or a pipe, or a link leads out of the run directory.
    """
    check_contained(folder / LOCK)
    check_regular(folder / LOCK)
    with convert_os_errors(folder / LOCK):
        descriptor = _acquire(folder, log)
    try:
        for partial in folder.glob(f"{TEMPORARY}*"):  # left by a killed process: no other one writes here now
            if partial.is_symlink() or not partial.is_dir():
                partial.unlink(missing_ok=True)
        former = read_holder(folder)
        if former is not None:
            log(
                f"Taking over {folder} from process {former.pid} on {former.host} (started {former.start}), which "
                "exited without finishing."
            )
        write_json(folder / HOLDER, asdict(Holder(visible_pid(), socket.gethostname(), timestamp())))
        yield
    finally:
        with contextlib.suppress(OSError):  # a stale holder file only costs a message
            (folder / HOLDER).unlink(missing_ok=True)
        release(descriptor)


def remove_if_empty(folder: Path) -> None:
    """Delete a folder that holds nothing but its lock, which the caller holds."""
    with contextlib.suppress(OSError):  # on NFS the folder may remain, which must not hide another error
        names = {path.name for path in folder.iterdir()}
        if names <= {LOCK, HOLDER}:
            for name in names:
                (folder / name).unlink()
            folder.rmdir()


def _acquire(folder: Path, log: Callable[[str], None]) -> int:
    """Return the descriptor that holds the lock."""
    deadline = time.monotonic() + ORPHANS
    logged = False
    while True:
        descriptor = acquire(folder / LOCK, timeout=0.3)
        if descriptor is not None:
            return descriptor
        holder = read_holder(folder)
        if holder is None or not holder.is_dead or time.monotonic() > deadline:
            raise _busy(folder, holder)
        if not logged:
            log(f"Waiting for child processes of the dead process {holder.pid} to end.")
            logged = True


def _busy(folder: Path, holder: Holder | None) -> RunFailed:
    if holder is None:
        who, stop = "another process", ""
    else:
        who = f"process {holder.pid} on {holder.host}, started {holder.start},"
        stop = f" or stop it (on {holder.host}: kill {holder.pid})"
    hint = f"Wait until it has finished{stop}, or use another folder with --run-dir (or --out)."
    return RunFailed(f"{who} is working in this folder", subject=folder, hint=hint)
