"""A stage's folder: its record (``stage.json``) and its artifacts, and whether they are intact.

Status of a folder: ``running`` (the record is written first) → ``done``, ``failed`` or ``interrupted``. Before a folder
is emptied its record becomes ``stale``, so that a process killed in between leaves nothing that a later run reuses.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.atomic import convert_os_errors, discard, sha256_file
from wsss.io.files.contained import below, check_below, check_contained, delete_file
from wsss.io.files.json_files import read_json
from wsss.io.files.obstacles import obstructed
from wsss.io.files.records import check_record, read_stage_record, repair_hint
from wsss.io.files.sealed import write_sealed_json
from wsss.io.files.stage_files import CHECKPOINT, COPIES, RECORD

METRICS = "metrics.json"
INPUT_RESULTS = "input_results"
"""Key of ``stage.json``: input → hash of its files, or for an input of several stages id → hash."""

BOOKKEEPING = frozenset({RECORD, METRICS, "run.log", CHECKPOINT})
UNLISTED_FOLDERS = frozenset({"tensorboard"})
WORK = ".wsss-data"
"""Folder of the generated dataset of a single stage, inside the stage's own."""
_KEPT = (RECORD, ".wsss-lock", WORK)


@dataclass(frozen=True)
class Damage:
    """An artifact that differs from its record: missing, truncated, changed or replaced by a folder."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"artifact {self.path} is {self.what}"


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return ``stage.json``, or ``None`` if there is none.

    Raises:
        InvalidInput: it is damaged, or not a record of a stage.
    """
    record = read_stage_record(folder)
    if record is not None and not record.get("identity"):
        raise InvalidInput(
            "not a record of a stage: identity is missing",
            subject=folder / RECORD,
            hint=f"Delete {folder} and run the same command again: the stage re-runs.",
        )
    return record


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``stage.json`` with its checksum, atomically; for a finished stage also its copy.

    See `wsss.pipeline.store.repair`.

    Raises:
        InvalidInput: a value that `read_record` would refuse; nothing is written.
    """
    check_record(folder / RECORD, record)
    copy = folder / COPIES[RECORD]
    if record.get("status") == "done":  # copy first: if killed in between, the stage is unfinished
        write_sealed_json(copy, record)
    elif os.path.lexists(copy):  # first: it must not outlive the result
        with convert_os_errors(copy):
            delete_file(copy)
    write_sealed_json(folder / RECORD, record)


def artifact_files(folder: Path) -> list[Path]:
    """Return the files of a stage's result, sorted: no bookkeeping, no logs, nothing hidden."""
    files = []
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or relative.parts[0] in UNLISTED_FOLDERS or (len(relative.parts) == 1 and path.name in BOOKKEEPING):
            continue
        if path.is_file():
            files.append(path)
    return sorted(files)


def list_artifacts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return relative path → ``{"bytes", "sha256", "mtime_ns"}`` of a stage's files."""
    return {path.relative_to(folder).as_posix(): _describe(path) for path in artifact_files(folder)}


def verify(folder: Path, artifacts: Mapping[str, Mapping[str, Any]], *, content: bool = False) -> list[Damage]:
    """Return the artifacts that are missing or changed.

    Sizes are always compared; the bytes are read if the modification time differs.

    Args:
        artifacts: artifacts in its record; missing keys are not compared.
        content: read the bytes of all files.
    """
    damages, record, prefix = [], folder / RECORD, os.path.join(folder, "")  # noqa: PTH118 - called for all files
    for name, known in artifacts.items():
        check_below(folder, name, where=record)
        what = _damage(prefix + name, known, content=content)
        if what:
            damages.append(Damage(name, what))
    return damages


def _damage(path: str, known: Mapping[str, Any], *, content: bool) -> str:
    try:
        state = os.stat(path)  # noqa: PTH116
    except OSError:
        return "missing"
    if stat.S_ISDIR(state.st_mode):
        return "replaced by a folder"
    size, digest = known.get("bytes", state.st_size), known.get("sha256")
    if state.st_size != size:
        return "truncated" if state.st_size < size else "changed"
    unread = not digest or (not content and state.st_mtime_ns == known.get("mtime_ns"))
    return "" if unread or sha256_file(Path(path)) == digest else "changed"


def result_of(record: Mapping[str, Any] | None) -> str | None:
    """Return a hash of a finished stage's files; ``None`` for an unfinished one, and if no hashes are recorded."""
    if record is None or record.get("status") != "done":
        return None
    digests = {name: known.get("sha256") for name, known in (record.get("artifacts") or {}).items()}
    if not all(digests.values()):
        return None
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def has_unlisted_files(folder: Path, artifacts: Mapping[str, Any]) -> bool:
    """Return whether a folder contains files besides the listed artifacts."""
    return any(path.relative_to(folder).as_posix() not in artifacts for path in artifact_files(folder))


def has_metrics_of(folder: Path, record: Mapping[str, Any]) -> bool:
    """Return whether ``metrics.json`` holds the metrics of the record."""
    try:
        return bool(read_json(folder / METRICS) == record.get("metrics"))
    except (OSError, ValueError):
        return False


def delete_damaged(folder: Path, damages: Sequence[Damage]) -> None:
    """Delete damaged files, so that they are computed again."""
    for damage in damages:
        path = below(folder, damage.path, where=folder / RECORD)
        discard(path)
        for parent in path.parents[: len(Path(damage.path).parents) - 1]:
            if parent.is_file():  # in place of a folder
                discard(parent)


def drop_checkpoint(folder: Path) -> None:
    """Delete the checkpoint of a stage whose record states done; if deleted earlier, a kill could lose all work."""
    if os.path.lexists(folder / CHECKPOINT):  # a finished stage may be a link, in which nothing is deleted
        with convert_os_errors(folder / CHECKPOINT):
            delete_file(folder / CHECKPOINT)


def empty(folder: Path, record: Mapping[str, Any]) -> None:
    """Delete the content of a stage's folder except its record, the lock and generated data.

    The record becomes ``stale`` first: if the process is killed in between, the folder is emptied again.
    """
    check_contained(folder / RECORD)
    with convert_os_errors(folder):
        write_record(folder, {**record, "status": "stale"})
        for path in sorted(folder.iterdir()):
            if path.name.startswith(_KEPT):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def check_stage_folder(folder: Path, uses: str | None = None) -> None:
    """Reject a folder that holds files but is not the folder of a stage.

    Args:
        uses: the kind of that stage; results of other kinds are not overwritten.

    Raises:
        InvalidInput: files without a ``stage.json``, or the result of a different kind of stage.
        Obstructed: it is a file.
    """
    record = read_record(folder) if uses is not None else None
    if record is not None and record.get("uses") not in (None, uses):
        raise InvalidInput(
            f"contains the stage {record.get('id')!r} ({record['uses']}), which {uses} would replace",
            subject=folder,
            hint="Choose another --out, or delete the folder yourself.",
        )
    if folder.is_dir() and not (folder / RECORD).is_file():
        foreign = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".wsss-"))
        if foreign:
            raise InvalidInput(
                f"not empty and not the folder of a stage (contains {foreign[0]!r}, but no {RECORD})",
                subject=folder,
                hint=f"{repair_hint(folder)}Choose another folder, or empty this one yourself.",
            )
    elif folder.exists() and not folder.is_dir():
        raise obstructed(folder, "folder")


def _describe(path: Path) -> dict[str, Any]:
    state = path.stat()
    return {"bytes": state.st_size, "sha256": sha256_file(path), "mtime_ns": state.st_mtime_ns}
