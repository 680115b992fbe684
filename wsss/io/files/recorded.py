"""Files of finished stages, compared with the hashes in their stage's record before anything is made of them.

A disk, a copy or another program may change a byte and leave size and time of change as they were. Whoever looks at
those alone (`wsss run` does, so that a finished run ends at once) doesn't see it; so every file is hashed by who reads
it, once in a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.errors import DamagedFile, InvalidInput
from wsss.io.files.atomic import sha256_file
from wsss.io.files.sealed import read_sealed_json
from wsss.io.files.stage_files import RECORD, RUN

DEPTH = 4
"""Folders above a file in which its record is looked for."""

_State = tuple[int, int, int]

_records: dict[Path, tuple[_State, Mapping[str, Any]]] = {}
_intact: set[tuple[Path, int, int, str]] = set()


@dataclass(frozen=True)
class Recorded:
    """What is recorded of a file.

    Args:
        folder: of its stage.
        stage: the stage's id.
        sha256: of its bytes when the stage finished.
        mtime_ns: its time of change then.
    """

    folder: Path
    stage: str
    sha256: str
    mtime_ns: int


def check_recorded(path: Path, *, always: bool = False) -> None:
    """Compare a file with the record of the finished stage that made it; a file of no stage passes.

    A file that was edited since (it has another time of change) passes, too: who gives a stage's folder by hand is
    warned of it, and `wsss run` re-runs the stage.

    Args:
        path: the file; a missing one passes, so that the reader says so.
        always: read it also if it was found intact before, and refuse edits (for weights).

    Raises:
        DamagedFile: it isn't what the stage wrote, or the stage's record is damaged.
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
    found = _hash(path)
    if found == known.sha256:
        _intact.add(key)
    elif always or not edited:
        on_purpose = f" To use it as it is, delete {known.folder / RECORD}." if edited else ""
        raise DamagedFile(
            f"{path}: the file is damaged: expected the SHA-256 {known.sha256[:12]}… that was recorded when stage "
            f"{known.stage!r} finished, got {found[:12]}….",
            hint=rerun_hint(known.folder, known.stage) + on_purpose,
        )


def find_recorded(path: Path) -> Recorded | None:
    """Return what is recorded of a file; ``None`` where no finished stage has recorded a hash of it.

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
    """Return how a damaged stage is made again.

    Args:
        folder: of the stage.
        stage: its id.
    """
    if (folder.parent / RUN).is_file():
        return (
            f"Re-run the stage: wsss run … --run-dir {folder.parent} --force {stage}; or delete {folder} and run the "
            "same command again."
        )
    return f"Re-run the stage: delete {folder} and run its command again."


def _record_in(folder: Path) -> Mapping[str, Any] | None:
    path = folder / RECORD
    try:
        found = path.stat()
    except OSError:
        return None
    state = (found.st_ino, found.st_size, found.st_mtime_ns)
    if folder not in _records or _records[folder][0] != state:
        try:
            record = read_sealed_json(path)
        except (OSError, ValueError) as error:
            raise DamagedFile(f"{path}: can't be read ({error}).", hint=rerun_hint(folder, folder.name)) from error
        _records[folder] = (state, record if isinstance(record, Mapping) else {})
    return _records[folder][1]


def _hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read ({error.strerror or error}).") from error
