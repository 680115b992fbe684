"""The folder of an export: made beside its place, and put there when it is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.atomic import explain_os_errors, temporary_beside, write_json
from wsss.io.process.shared_state import deleted_if_killed
from wsss.io.text.json_files import read_json

RECORD = "export.json"
"""What was exported; also the sign that a folder was made by an export, which ``--force`` may replace."""


def check_out(out: Path, *, force: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        InvalidInput: ``out`` is a file, the working directory or one above it, or a folder that isn't empty (with
            ``force``: one that no export made, or that holds files which its export didn't make).
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InvalidInput(f"--out {out}: not a folder.", hint="Name a new folder.")
    place, working = _real(out), _real(Path())
    if working.is_relative_to(place):  # a new folder takes the place of out: every shell in there would lose its own
        why = "this is the working directory" if working == place else "the working directory lies in it"
        raise InvalidInput(f"--out {out}: {why}, which can't be replaced.", hint="Name a new folder.")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not force:
        raise InvalidInput(
            f"--out {out}: the folder is not empty.", hint="Name a new folder, or replace an earlier export by --force."
        )
    record = read_export(out)
    if record is None:
        raise InvalidInput(
            f"--out {out}: the folder holds something that wsss export didn't make (no {RECORD}); --force replaces "
            "earlier exports only.",
            hint="Name a new folder, or empty this one yourself.",
        )
    strangers = sorted(set(_files(out)) - _recorded(record) - {RECORD})
    if strangers:
        raise InvalidInput(
            f"--out {out}: {strangers[0]} is no file of the export that the folder holds"
            + (f", nor are {len(strangers) - 1} others" if len(strangers) > 1 else "")
            + f" ({RECORD} lists its files); --force would delete it.",
            hint="Move it elsewhere, or name a new folder.",
        )


def read_export(folder: Path) -> dict[str, Any] | None:
    """Return what ``export.json`` says of a folder that was made by an export; ``None`` of any other."""
    try:
        record = read_json(folder / RECORD)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("made_by") == "wsss export" else None


@contextmanager
def new_folder(out: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """Give an empty folder; when the block ends without an error it becomes ``out``, in place of an earlier export.

    Args:
        out: checked by `check_out`.
        record: what ``export.json`` says beside the list of files; the block may add to it.

    Raises:
        RunFailed: the disk is full, or the place can't be written to.
    """
    out = _real(out)  # "a/.." has no name of its own
    making = temporary_beside(out)
    leaving = making.with_name(f"{making.name}-old")
    try:
        with explain_os_errors(out):
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
        with deleted_if_killed(making):
            yield making
        write_json(making / RECORD, {"made_by": "wsss export", **record, "files": _files(making)})
        with explain_os_errors(out):
            if out.is_dir():
                out.rename(leaving)
            making.rename(out)
    finally:
        if leaving.is_dir() and not out.is_dir():
            leaving.rename(out)  # the new folder could not take its place
        for left_over in (making, leaving):
            shutil.rmtree(left_over, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    """Return the paths, relative to ``folder``, of all files and links in it and below, sorted."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )


def _recorded(record: Mapping[str, Any]) -> set[str]:
    """Return the files that an ``export.json`` lists; none where the list is broken."""
    files = record.get("files")
    return {str(file) for file in files} if isinstance(files, list) else set()


def _real(path: Path) -> Path:
    """Return where a path leads, also where nothing is there yet (`Path.resolve` fails for links in a circle)."""
    return Path(os.path.realpath(path))
