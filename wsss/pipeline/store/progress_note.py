"""The progress of a running stage, left in its folder for ``wsss status``."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from wsss.io.files.contained import open_regular
from wsss.io.files.json_files import read_json_object

NOTE = ".wsss-progress.json"


def write_note(folder: Path, description: str, done: int, total: int) -> None:
    """Write the note; errors of the file system are ignored."""
    note = {"description": description, "done": done, "total": total}
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with contextlib.suppress(OSError), os.fdopen(open_regular(folder / NOTE, flags), "w") as file:
        json.dump(note, file)


def read_note(folder: Path) -> dict[str, Any] | None:
    """Return the last progress note of a stage: ``{"description", "done", "total"}``, or ``None``."""
    note = read_json_object(folder / NOTE)
    if note is None or not isinstance(note.get("description"), str):
        return None
    return note if all(type(note.get(key)) is int for key in ("done", "total")) else None


def delete_note(folder: Path) -> None:
    """Delete the note; errors of the file system are ignored."""
    with contextlib.suppress(OSError):
        (folder / NOTE).unlink(missing_ok=True)
