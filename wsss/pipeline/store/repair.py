"""Restoring records that are lost or damaged, so that finished work stays usable: for ``wsss status --repair``.

A run's record, and that of each finished stage, is written twice. A copy counts only if its checksum is right, and that
of a stage only if every file of its result has the size and the hash that it lists. Nothing else is taken for a
result: without a record nobody knows which settings and which data a folder was made with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.io.files.records import FORMAT, read_copy
from wsss.io.files.stage_files import COPIES, RECORD, RUN
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.lock import run_lock
from wsss.pipeline.store.run_folder import read_run, write_run


@dataclass(frozen=True)
class Repair:
    """What became of one record that was lost or damaged.

    Args:
        path: of the record.
        restored: whether it is as it was.
        what: what was compared, or why it can't be restored.
        hint: what to do instead.
    """

    path: Path
    restored: bool
    what: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**asdict(self), "path": str(self.path)}


def repair_folder(folder: Path, log: Callable[[str], None]) -> list[Repair]:
    """Restore the lost or damaged records of a run directory, or of a single stage's folder.

    Args:
        folder: see `can_hold_records`.
        log: prints one line for the user.

    Returns:
        What became of each; empty where none is lost or damaged.

    Raises:
        RunFailed: another process works in the folder, or it can't be written to.
    """
    log(f"Looking for lost or damaged records in {folder}: each is restored from its copy if its files match that.")
    with run_lock(folder, log):
        if _holds(folder, RECORD) and not _holds(folder, RUN):
            return _stage(folder, known=True)
        found = _run(folder)
        stages = _stages(folder)
        for id in stages or [path.name for path in sorted(folder.iterdir()) if path.is_dir()]:
            found += _stage(folder / id, known=bool(stages))
    return found


def can_hold_records(folder: Path) -> bool:
    """Return whether a folder holds a record or the copy of one, itself or in the folders of its stages."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return _holds(folder, RUN) or any(_holds(one, RECORD) for one in (folder, *inside))


def _holds(folder: Path, record: str) -> bool:
    return any((folder / name).is_file() for name in (record, COPIES[record]))


def _stages(run_dir: Path) -> list[str]:
    try:
        return [stage["id"] for stage in (read_run(run_dir) or {}).get("stages", [])]
    except InvalidInput:
        return []


def _run(run_dir: Path) -> list[Repair]:
    path = run_dir / RUN
    try:
        if read_run(run_dir) is not None:
            return []
        problem, first = "lost", ""
    except InvalidInput:
        problem, first = "damaged", f"delete {path} and "
    try:
        copy = read_copy(path)
        if copy.get("format") != FORMAT:
            raise ValueError("its copy is of another version")
    except ValueError as error:
        hint = f"To write it anew, {first}run the pipeline again: wsss run PIPELINE --run-dir {run_dir} (finished "
        return [Repair(path, False, f"{problem}; {error}", f"{hint}stages are kept).")]
    if path.is_dir():
        return [_in_the_way(path)]
    write_run(run_dir, {**copy, "restored": _now()})
    return [Repair(path, True, f"it was {problem}; the checksum of its copy is right")]


def _stage(folder: Path, *, known: bool) -> list[Repair]:
    """Restore a stage's record.

    Args:
        folder: of the stage, which may never have run.
        known: whether it is a stage's: other folders without a record are none of our business.
    """
    path = folder / RECORD
    try:
        if stage_folder.read_record(folder) is not None:
            return []
        problem = "lost"
    except InvalidInput:
        problem = "damaged"
    if not folder.is_dir() or (not known and not _holds(folder, RECORD)):
        return []
    if not _holds(folder, RECORD) and not stage_folder.artifact_files(folder):
        return []
    hint = f"What made these files can't be verified. Move {folder} away to keep them; wsss run then re-runs the stage."
    try:
        copy = read_copy(path)
        if copy.get("status") != "done" or not copy.get("identity"):
            raise ValueError("its copy is not that of a finished stage")
        if path.is_dir():
            return [_in_the_way(path)]
        _compare(folder, copy.get("artifacts") or {})
    except ValueError as error:
        return [Repair(path, False, f"{problem}; {error}", hint)]
    stage_folder.write_record(folder, {**copy, "restored": _now()})
    what = f"it was {problem}; the checksum of its copy and the hashes of all {len(copy.get('artifacts') or {})} files"
    return [Repair(path, True, f"{what} are right")]


def _in_the_way(path: Path) -> Repair:
    """Return what became of a record in whose place there is a folder: nothing of the user's is deleted."""
    hint = f"Delete the folder {path} and run the same command again."
    return Repair(path, False, "a folder is in its place; the checksum of its copy is right", hint)


def _compare(folder: Path, artifacts: dict[str, Any]) -> None:
    """Require a folder to hold exactly the files that are listed, with their hashes."""
    damages = stage_folder.verify(folder, artifacts, content=True)
    if damages:
        raise ValueError(f"its copy lists other files: {listing(damages, limit=3)}")
    if not all(known.get("sha256") for known in artifacts.values()):
        raise ValueError("its copy lists files without hashes")
    if not stage_folder.is_unlisted_free(folder, artifacts):
        raise ValueError("there are files that its copy doesn't list")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
