"""Errors for output paths occupied by something else, such as a folder called ``metrics.json``.

In a run directory the suggested fix is to delete it; choosing another folder would cost the whole run.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal

from wsss.errors import Obstructed, Verbatim
from wsss.io.files.contained import DEPTH
from wsss.io.files.stage_files import RECORD, RUN


def obstacle(error: OSError, path: Path) -> Obstructed | None:
    """Return the error to report if a path could not be created because it is occupied; ``None`` for other errors.

    Args:
        path: the path to write, used if ``error`` names none.
    """
    named = [Path(os.fsdecode(name)) for name in (error.filename2, error.filename) if isinstance(name, str | bytes)]
    if error.errno == errno.EISDIR:
        folder = next((candidate for candidate in named or [path] if candidate.is_dir()), None)
        return None if folder is None else obstructed(folder, "file", path)
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        parents = (parent for start in (*named, path) for parent in (start, *start.parents))
        existing = next((parent for parent in parents if os.path.lexists(parent)), None)
        return None if existing is None or existing.is_dir() else obstructed(existing, "folder", path)
    return None


def obstructed(path: Path, expected: Literal["file", "folder"], written: Path | None = None) -> Obstructed:
    """Return the error for a path that is something other than expected.

    Args:
        written: the path to write, if it differs.
    """
    found = Verbatim("a folder" if path.is_dir() else "a file" if path.is_file() else "a special file or broken link")
    error = Obstructed(subject=path, allowed=f"a {expected}", found=found, hint=_hint(path))
    return error if written in (None, path) else error.within(f"cannot write {written}")


def _hint(path: Path) -> str:
    """Return the hint to delete the path in a run; elsewhere, where it may be the user's, to choose another folder."""
    inside = any((parent / name).is_file() for parent in path.absolute().parents[:DEPTH] for name in (RUN, RECORD))
    return "Delete it: a new one is written." if inside else "Choose another folder (--run-dir or --out), or delete it."
