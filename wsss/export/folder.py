"""The folder of an export: made beside its place, and put there when it is complete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.atomic import TEMPORARY, explain_os_errors, write_json

RECORD = "export.json"
"""What was exported; also the sign that a folder was made by an export, which ``--force`` may replace."""


def check_out(out: Path, *, force: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        InvalidInput: ``out`` is a file, or a folder that isn't empty (with ``force``, one that no export made).
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InvalidInput(f"--out {out}: not a folder.", mend="Name a new folder.")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not force:
        raise InvalidInput(
            f"--out {out}: the folder is not empty.", mend="Name a new folder, or replace an earlier export by --force."
        )
    if not is_export(out):
        raise InvalidInput(
            f"--out {out}: the folder holds something that wsss export didn't make (no {RECORD}); --force replaces "
            "earlier exports only.",
            mend="Name a new folder, or empty this one yourself.",
        )


def is_export(folder: Path) -> bool:
    """Tell whether a folder was made by an export."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("made_by") == "wsss export"


@contextmanager
def new_folder(out: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """Give an empty folder; when the block ends without an error it becomes ``out``, in place of an earlier export.

    Args:
        out: checked by `check_out`.
        record: what ``export.json`` says beside the list of files; the block may add to it.

    Raises:
        RunFailed: the disk is full, or the place can't be written to.
    """
    making = out.with_name(f"{TEMPORARY}{os.getpid()}-{out.name}")
    leaving = out.with_name(f"{TEMPORARY}{os.getpid()}-old-{out.name}")
    try:
        with explain_os_errors(out):
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
        yield making
        files = sorted(path.relative_to(making).as_posix() for path in making.rglob("*") if not path.is_dir())
        write_json(making / RECORD, {"made_by": "wsss export", **record, "files": files})
        with explain_os_errors(out):
            if out.is_dir():
                out.rename(leaving)
            making.rename(out)
    finally:
        if leaving.is_dir() and not out.is_dir():
            leaving.rename(out)  # the new folder could not take its place
        for left_over in (making, leaving):
            shutil.rmtree(left_over, ignore_errors=True)
