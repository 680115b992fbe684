"""One process at a time in a run directory.

The lock itself is the operating system's (see `wsss.io.files.locking`) and ends with the process that holds it. A
second file beside it records that process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from wsss.errors import RunFailed
from wsss.io.files.atomic import TEMPORARY, explain_os_errors, write_json
from wsss.io.files.contained import check_place, check_regular
from wsss.io.files.locking import State, acquire, lock_state, release
from wsss.io.text.json_files import read_json
from wsss.pipeline.processes.supervise import visible_pid

LOCK = ".wsss-lock"
HOLDER = ".wsss-lock.json"
ORPHANS = 15.0
"""Seconds to wait for the child processes of a dead holder: they share its lock until they notice."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    pid: int
    host: str
    start: str

    @property
    def is_here_and_dead(self) -> bool:
        """Tell whether the process was on this machine and is gone."""
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
    try:
        value = read_json(folder / HOLDER)
    except (OSError, ValueError):
        return None
    pid, host, start = (value.get(key) for key in ("pid", "host", "start")) if isinstance(value, dict) else (0, 0, 0)
    if not isinstance(pid, int) or not 0 < pid < 2**31 or not isinstance(host, str) or not isinstance(start, str):
        return None
    return Holder(pid, host, start)


def lock_of(folder: Path) -> tuple[State, str]:
    """Return whether a live process holds the lock of a folder, without disturbing it, and why that is unknown."""
    return lock_state(folder / LOCK)


def is_held(folder: Path) -> bool:
    """Return whether a live process is known to hold the lock of a folder."""
    return lock_of(folder)[0] == "held"


@contextmanager
def run_lock(folder: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a folder (which must exist) inside the block.

    Raises:
        RunFailed: another process holds it (names its pid and host), or the file system has no locks.
        InvalidInput: the lock is a link or a pipe, or a link takes the folder out of its run directory.
    """
    check_place(folder / LOCK)
    check_regular(folder / LOCK)
    with explain_os_errors(folder / LOCK):
        descriptor = _acquire(folder, log)
    try:
        for half_written in folder.glob(f"{TEMPORARY}*"):  # of a process that was killed; nobody else writes here now
            if half_written.is_symlink() or not half_written.is_dir():
                half_written.unlink(missing_ok=True)
        left = read_holder(folder)
        if left is not None:
            log(
                f"Taking over {folder} from process {left.pid} on {left.host} (started {left.start}), which ended "
                "without finishing."
            )
        me = Holder(visible_pid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))
        write_json(folder / HOLDER, asdict(me))
        yield
    finally:
        with contextlib.suppress(OSError):  # a stale holder file only costs a message
            (folder / HOLDER).unlink(missing_ok=True)
        release(descriptor)


def leave_nothing(folder: Path) -> None:
    """Delete a folder that holds nothing but its lock; to be called by who holds that."""
    with contextlib.suppress(OSError):  # an empty folder that stays (on NFS, say) hides no other error
        names = {path.name for path in folder.iterdir()}
        if names <= {LOCK, HOLDER}:
            for name in names:
                (folder / name).unlink()
            folder.rmdir()


def _acquire(folder: Path, log: Callable[[str], None]) -> int:
    """Return the descriptor that holds the lock."""
    end = time.monotonic() + ORPHANS
    told = False
    while True:
        descriptor = acquire(folder / LOCK, timeout=0.3)
        if descriptor is not None:
            return descriptor
        holder = read_holder(folder)
        if holder is None or not holder.is_here_and_dead or time.monotonic() > end:
            raise RunFailed(_busy(folder, holder), hint=_mend(holder))
        if not told:
            log(f"Waiting for child processes of the dead process {holder.pid} to end.")
            told = True


def _busy(folder: Path, holder: Holder | None) -> str:
    if holder is None:
        return f"Another process is working in {folder}."
    return f"Process {holder.pid} on {holder.host} is working in {folder} since {holder.start}."


def _mend(holder: Holder | None) -> str:
    stop = f" or stop it (on {holder.host}: kill {holder.pid})" if holder else ""
    return f"Wait for it to end{stop}, or give this run a folder of its own with --run-dir (or --out)."
