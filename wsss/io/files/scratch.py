"""Temporary folder of a command, deleted when the command ends, or later if it was killed."""

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

MIN_AGE = 60.0
"""Seconds after which an unlocked folder counts as abandoned; a new one may not be locked yet."""


class Scratch:
    """A folder in the system's temporary directory, locked by this process.

    Creating one first deletes the abandoned folders of killed processes.

    Raises:
        OSError: no temporary directory is usable.
    """

    def __init__(self) -> None:
        sweep_scratch(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def delete(self) -> None:
        """Delete the folder and its contents."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def leave(self) -> None:
        """Close this process's copy of the lock after a fork; the other process keeps it."""
        os.close(self._lock)


def sweep_scratch(folder: Path) -> int:
    """Delete the abandoned scratch folders in ``folder``, and return their number."""
    deleted = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and _is_abandoned(entry):
                shutil.rmtree(entry.path, ignore_errors=True)
                deleted += 1
    return deleted


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    """Return whether a scratch folder of this user is old enough, and unlocked."""
    with suppress(OSError):
        state = entry.stat(follow_symlinks=False)
        if not entry.is_dir(follow_symlinks=False) or state.st_uid != os.getuid():
            return False
        if abs(time.time() - state.st_mtime) < MIN_AGE:
            return False
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        finally:
            os.close(descriptor)
    return False
