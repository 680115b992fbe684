"""Verification of the files of finished stages against the hashes in their record, before the files are used.

A disk, a copy or another program may change bytes without changing size and modification time, which are all that
`wsss run` checks before it skips a finished run. Readers therefore hash every file, once per process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.errors import DamagedFile, Verbatim, unreadable
from wsss.io.files.atomic import sha256_file
from wsss.io.files.sealed import read_sealed_json
from wsss.io.files.stage_files import RECORD, RUN

DEPTH = 4
"""Number of parents of a file searched for its record."""

_State = tuple[int, int, int]

_records: dict[Path, tuple[_State, Mapping[str, Any]]] = {}
_intact: set[tuple[Path, int, int, str]] = set()


@dataclass(frozen=True)
class Recorded:
    """The record of a file.

    Args:
        sha256: hash of the file when the stage finished.
        mtime_ns: its modification time then.
    """

    folder: Path
    stage: str
    sha256: str
    mtime_ns: int


def check_recorded(path: Path, *, always: bool = False) -> None:
    """Verify a file against the record of its finished stage, if there is one.

    A file edited since (with another modification time) passes as well: a single stage prints a warning, and `wsss run`
    re-runs the stage that wrote it.

    Args:
        path: the file; a missing one passes, since its reader reports it.
        always: also hash files verified before, and refuse edited ones (for weights).

    Raises:
        DamagedFile: the file differs from what the stage wrote, or the stage's record is damaged.
    """
    try:
        state = path.stat()
    except OSError:
        return
    known = find_recorded(path)
    if known is None:
        return
    key = (path.absolute(), state.st_size, state.st_mtime_ns, known.sha256)
    edited = state.st_mtime_ns != known.mtime_ns
    if key in _intact and not always:
        return
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise unreadable(path, error) from error
    if digest == known.sha256:
        _intact.add(key)
    elif always or not edited:
        keep = f" To use it anyway, delete {known.folder / RECORD}." if edited else ""
        raise DamagedFile(
            f"the file is damaged: it changed after stage {known.stage!r} finished",
            subject=path,
            allowed=f"SHA-256 {known.sha256[:12]}…",
            found=Verbatim(f"{digest[:12]}…"),
            hint=rerun_hint(known.folder, known.stage) + keep,
        )


def find_recorded(path: Path) -> Recorded | None:
    """Return the record of a file; ``None`` if no finished stage has recorded its hash.

    Raises:
        DamagedFile: the record of its stage is damaged.
    """
    for folder in path.parents[:DEPTH]:
        record = _record_in(folder)
        if record is not None:
            artifacts = record.get("artifacts") if record.get("status") == "done" else None
            known = artifacts.get(path.relative_to(folder).as_posix()) if isinstance(artifacts, Mapping) else None
            if not isinstance(known, Mapping) or not isinstance(known.get("sha256"), str):
                return None
            return Recorded(folder, str(record.get("id") or folder.name), known["sha256"], known.get("mtime_ns", 0))
    return None


def rerun_hint(folder: Path, stage: str) -> str:
    """Return how to re-run a damaged stage."""
    if (folder.parent / RUN).is_file():
        return (
            f"Re-run the stage: wsss run … --run-dir {folder.parent} --force {stage}; or delete {folder} and run the "
            "same command again."
        )
    return f"Re-run the stage: delete {folder} and run its command again."


def _record_in(folder: Path) -> Mapping[str, Any] | None:
    path = folder / RECORD
    try:
        status = path.stat()
    except OSError:
        return None
    state = (status.st_ino, status.st_size, status.st_mtime_ns)
    if folder not in _records or _records[folder][0] != state:
        try:
            record = read_sealed_json(path)
        except (OSError, ValueError) as error:
            hint = rerun_hint(folder, folder.name)
            raise DamagedFile(f"cannot be read ({error})", subject=path, hint=hint) from error
        _records[folder] = (state, record if isinstance(record, Mapping) else {})
    return _records[folder][1]
