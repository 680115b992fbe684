"""The output folder of an export: written as a temporary folder next to it, and renamed when complete."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import write_json
from wsss.io.files.json_files import read_json
from wsss.io.files.replaced_folder import replaced_folder
from wsss.io.files.stage_files import RECORD as STAGE_RECORD

Kind = Literal["masks", "network", "ranking"]

RECORD = "export.json"
"""Record of an export; ``--force`` replaces only folders that contain one."""


def check_out(out: Path, *, force: bool, kind: Kind = "masks") -> None:
    """Require that the output folder can be written or, with ``force``, replaced.

    Args:
        force: replace an earlier export of the same kind.
        kind: what is exported.

    Raises:
        InvalidInput: ``out`` is a file, the working directory or one of its parents, or a non-empty folder (with
            ``force``: one that is not an export, or contains other files).
    """
    subject, hint = f"--out {out}", "Choose a new folder."
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InvalidInput("not a folder", subject=subject, hint=hint)
    target, working = _real(out), _real(Path())
    if working.is_relative_to(target):  # shells inside the replaced folder would lose their working directory
        what = "the working directory" if working == target else "a parent of the working directory"
        raise InvalidInput(f"{what} cannot be replaced", subject=subject, hint=hint)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not force:
        hint = "Choose a new folder, or replace an earlier export with --force."
        raise InvalidInput("the folder is not empty", subject=subject, hint=hint)
    record = read_export(out)
    if record is None:
        raise InvalidInput(
            f"the folder is not an export (no {RECORD}); --force replaces earlier exports only",
            subject=subject,
            hint="Choose a new folder, or empty this one.",
        )
    if (before := _kind_of(record)) != kind:
        raise InvalidInput(
            f"--force would replace an export of a different kind ({before})",
            subject=subject,
            hint="Choose a new folder, or delete this one.",
        )
    foreign = sorted(set(_files(out)) - _recorded(record) - {RECORD})
    if foreign:
        raise InvalidInput(
            f"--force would delete files that are not part of the export (listed in {RECORD}): {listing(foreign)}",
            subject=subject,
            hint="Move them elsewhere, or choose a new folder.",
        )


def check_apart(out: Path, source: Path) -> None:
    """Require that the output folder is not inside a stage's folder, nor contains the source.

    Raises:
        InvalidInput: it is inside one, or contains the source.
    """
    target = _real(out)
    stage = next((folder for folder in (target, *target.parents) if (folder / STAGE_RECORD).is_file()), None)
    if stage is not None or _real(source).is_relative_to(target):
        why = f"inside the folder of a stage ({stage})" if stage is not None else f"contains {source}"
        raise InvalidInput(why, subject=f"--out {out}", hint="Choose a separate folder.")


def _kind_of(record: Mapping[str, Any]) -> Kind:
    """Return what an export with this ``export.json`` contains."""
    kinds: dict[object, Kind] = {"onnx": "network", "ranking": "ranking"}
    return kinds.get(record.get("format"), "masks")


def read_export(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``export.json``; ``None`` if the folder is not an export."""
    try:
        record = read_json(folder / RECORD)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("made_by") == "wsss export" else None


@contextmanager
def new_folder(out: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty folder that replaces ``out`` if the block ends without an error.

    Args:
        out: output folder, checked by `check_out`.
        record: content of ``export.json`` except the list of files; the block may add keys.

    Raises:
        RunFailed: the disk is full, or the folder cannot be written.
    """

    def finish(making: Path) -> None:
        write_json(making / RECORD, {"made_by": "wsss export", **record, "files": _files(making)})

    with replaced_folder(out, finish) as making:
        yield making


def _files(folder: Path) -> list[str]:
    """Return the sorted relative paths of all files and links below a folder."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )


def _recorded(record: Mapping[str, Any]) -> set[str]:
    """Return the files listed in ``export.json``; empty if the list is broken."""
    files = record.get("files")
    return {str(file) for file in files} if isinstance(files, list) else set()


def _real(path: Path) -> Path:
    """Return the resolved path (`Path.resolve` fails for circular links)."""
    return Path(os.path.realpath(path))
