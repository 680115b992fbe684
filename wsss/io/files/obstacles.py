"""Something else where a file or a folder of ours belongs, such as a folder called ``metrics.json``.

In a run directory the hint is to delete it: another folder would cost the whole run.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal

from wsss.errors import Obstructed
from wsss.io.files.contained import DEPTH
from wsss.io.files.stage_files import RECORD, RUN


def obstacle(error: OSError, path: Path) -> Obstructed | None:
    """Return the error to show where a file or a folder could not be made since something else has its name.

    Args:
        error: of the system.
        path: what was to be written; looked at where ``error`` names nothing.

    Returns:
        ``None`` for any other error.
    """
    named = [Path(os.fsdecode(name)) for name in (error.filename2, error.filename) if isinstance(name, str | bytes)]
    if error.errno == errno.EISDIR:
        folder = next((one for one in named or [path] if one.is_dir()), None)
        return None if folder is None else obstructed(folder, "file", path)
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        above = (one for start in (*named, path) for one in (start, *start.parents))
        found = next((one for one in above if os.path.lexists(one)), None)
        return None if found is None or found.is_dir() else obstructed(found, "folder", path)
    return None


def obstructed(path: Path, expected: Literal["file", "folder"], written: Path | None = None) -> Obstructed:
    """Return the error for a path that is something else than expected.

    Args:
        path: what is in the way.
        expected: what belongs there.
        written: what was to be written, where that is another path.
    """
    start = f"Can't write {written}: " if written not in (None, path) else ""
    found = "a folder" if path.is_dir() else "a file" if path.is_file() else f"not a {expected}"
    return Obstructed(f"{start}{path} is {found}; expected a {expected}.", hint=_hint(path))


def _hint(path: Path) -> str:
    """Return the hint to delete what is in the way; outside of runs, where it may be the user's, to go elsewhere."""
    inside = any((above / name).is_file() for above in path.absolute().parents[:DEPTH] for name in (RUN, RECORD))
    return "Delete it: a new one is written." if inside else "Choose another folder (--run-dir or --out), or delete it."
