"""A stage's folder on disk: its record (``stage.json``), its artifacts, and whether they are still what they were.

Life of a folder: ``running`` (the record is written before anything else) → ``done``, ``failed`` or ``interrupted``.
Before a folder is emptied its record turns ``stale``, so that a process killed half-way through leaves nothing that
a later run could take for its own work.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.atomic import discard, explain_os_errors, sha256_file, sweep
from wsss.io.files.contained import below, check_place, delete_file
from wsss.io.files.obstacles import obstructed
from wsss.io.files.records import read_stage_record, repair_hint
from wsss.io.files.sealed import write_sealed_json
from wsss.io.files.stage_files import CHECKPOINT, COPIES, RECORD

METRICS = "metrics.json"
BOOKKEEPING = frozenset({RECORD, METRICS, "run.log", CHECKPOINT})
UNLISTED_FOLDERS = frozenset({"tensorboard"})
WORK = ".wsss-data"
"""Folder of a single stage's generated dataset, inside its own."""
_KEPT = (RECORD, ".wsss-lock", WORK)


@dataclass(frozen=True)
class Damage:
    """One artifact that isn't what the record says: it is missing, truncated, changed or replaced by a folder."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"artifact {self.path} is {self.what}"


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return ``stage.json``, or ``None`` where there is none.

    Raises:
        InvalidInput: it is damaged, or was not written by us.
    """
    record = read_stage_record(folder)
    if record is not None and not record.get("identity"):
        raise InvalidInput(
            f"{folder / RECORD}: not a record of a stage: identity is missing.",
            hint=f"Delete {folder} and run the same command again: the stage is re-run.",
        )
    return record


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``stage.json`` with its checksum, atomically; for a finished stage also its copy.

    See `wsss.pipeline.store.repair`.
    """
    copy = folder / COPIES[RECORD]
    if record.get("status") != "done" and os.path.lexists(copy):  # first: it must not outlive the result
        with explain_os_errors(copy):
            delete_file(copy)
    if record.get("status") == "done":  # before the record: a kill in between leaves a stage that is run again
        write_sealed_json(copy, record)
    write_sealed_json(folder / RECORD, record)


def artifact_files(folder: Path) -> list[Path]:
    """Return the files that make up a stage's result, sorted: no bookkeeping, no logs, nothing hidden."""
    found = []
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or relative.parts[0] in UNLISTED_FOLDERS or (len(relative.parts) == 1 and path.name in BOOKKEEPING):
            continue
        if path.is_file():
            found.append(path)
    return sorted(found)


def list_artifacts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return relative path → ``{"bytes", "sha256", "mtime_ns"}`` of a stage's files."""
    return {path.relative_to(folder).as_posix(): _describe(path) for path in artifact_files(folder)}


def verify(folder: Path, artifacts: Mapping[str, Mapping[str, Any]], *, content: bool = False) -> list[Damage]:
    """Return the artifacts that are missing or changed.

    Sizes are always compared; the bytes are read again where the time of the last change differs.

    Args:
        folder: of the stage.
        artifacts: as recorded; what an older record lacks isn't compared.
        content: read the bytes of all files.
    """
    damages = []
    for name, known in artifacts.items():
        path = below(folder, name, where=folder / RECORD)
        try:
            state = path.stat()
        except OSError:
            damages.append(Damage(name, "missing"))
            continue
        if path.is_dir():
            damages.append(Damage(name, "replaced by a folder"))
            continue
        size, digest = known.get("bytes", state.st_size), known.get("sha256")
        if state.st_size != size:
            damages.append(Damage(name, "truncated" if state.st_size < size else "changed"))
        elif digest and (content or state.st_mtime_ns != known.get("mtime_ns")) and sha256_file(path) != digest:
            damages.append(Damage(name, "changed"))
    return damages


def is_unlisted_free(folder: Path, artifacts: Mapping[str, Any]) -> bool:
    """Tell whether a folder holds no files beside the listed artifacts."""
    return all(path.relative_to(folder).as_posix() in artifacts for path in artifact_files(folder))


def delete_damaged(folder: Path, damages: list[Damage]) -> None:
    """Delete the files that are broken, so that they are made again."""
    for damage in damages:
        path = below(folder, damage.path, where=folder / RECORD)
        discard(path)
        for above in path.parents[: len(Path(damage.path).parents) - 1]:
            if above.is_file():  # where the folder of the artifact was
                discard(above)


def drop_checkpoint(folder: Path) -> None:
    """Delete the checkpoint of a stage that is recorded as done; not before, or a kill would cost all the work."""
    if os.path.lexists(folder / CHECKPOINT):  # a finished stage may be a link: only deleting needs it to be ours
        with explain_os_errors(folder / CHECKPOINT):
            delete_file(folder / CHECKPOINT)


def empty(folder: Path, record: Mapping[str, Any]) -> None:
    """Delete all that a stage's folder holds but its record, the lock and generated data.

    The record is marked ``stale`` first: a process killed in between leaves a folder that will be emptied again.
    """
    check_place(folder / RECORD)
    with explain_os_errors(folder):
        write_record(folder, {**record, "status": "stale"})
        for path in sorted(folder.iterdir()):
            if path.name.startswith(_KEPT):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def check_ours(folder: Path, uses: str | None = None) -> None:
    """Refuse a folder that holds something but is no stage's folder.

    Args:
        folder: where a stage is to write.
        uses: the kind of that stage; what another kind of stage has made is not to be overwritten.

    Raises:
        InvalidInput: there are files in it and no ``stage.json``, or another kind of stage's result.
        Obstructed: it is a file.
    """
    record = read_record(folder) if uses is not None else None
    if record is not None and record.get("uses") not in (None, uses):
        raise InvalidInput(
            f"{folder} is the folder of the stage {record.get('id')!r} ({record['uses']}); {uses} would replace it.",
            hint="Choose another --out, or delete the folder yourself.",
        )
    if folder.is_dir() and not (folder / RECORD).is_file():
        strange = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".wsss-"))
        if strange:
            raise InvalidInput(
                f"{folder} is not empty and not the folder of a stage (found {strange[0]!r}, no {RECORD}).",
                hint=f"{repair_hint(folder)}Choose another folder, or empty it yourself.",
            )
    elif folder.exists() and not folder.is_dir():
        raise obstructed(folder, "folder")


def sweep_folder(folder: Path) -> int:
    """Delete what a killed process left half-written in a stage's folder; return the number of files."""
    with explain_os_errors(folder):
        return sweep(folder)


def _describe(path: Path) -> dict[str, Any]:
    state = path.stat()
    return {"bytes": state.st_size, "sha256": sha256_file(path), "mtime_ns": state.st_mtime_ns}
