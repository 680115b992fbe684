"""A folder for the temporary files of a command, which is gone when it ends, or soon after it was killed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREFIX = ".wsss-scratch-"
_NAME = re.compile(re.escape(PREFIX) + r"[a-z0-9_]{8}")

YOUNG = 60.0
"""Seconds for which a folder is left alone, also if nobody holds its lock: it may have been made a moment ago."""


class Scratch:
    """A folder below the system's temporary one, locked by this process.

    Processes that were killed leave such folders; those that nobody holds a lock on are deleted first.

    Raises:
        OSError: there is no place for temporary files.
    """

    def __init__(self) -> None:
        sweep_scratch(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def delete(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def leave(self) -> None:
        """Close this process's copy of the lock, after a fork: the other process holds it."""
        os.close(self._lock)


def sweep_scratch(folder: Path) -> int:
    """Delete the folders in ``folder`` that killed commands left; return how many there were."""
    found = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and _is_abandoned(entry):
                shutil.rmtree(entry.path, ignore_errors=True)
                found += 1
    return found


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    """Tell whether a folder of ours is not new, and no process holds its lock."""
    with suppress(OSError):
        state = entry.stat(follow_symlinks=False)
        if not entry.is_dir(follow_symlinks=False) or state.st_uid != os.getuid():
            return False
        if abs(time.time() - state.st_mtime) < YOUNG:
            return False
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        finally:
            os.close(descriptor)
    return False
