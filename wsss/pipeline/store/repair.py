"""Repair of lost or damaged records, so that finished work stays usable: for ``wsss status --repair``.

The record of a run, and that of each finished stage, is written twice. A copy is valid only if its checksum matches,
and that of a stage only if every file of its result has the size and the hash that it lists. Other folders are not
results: without a record their settings and data are unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.io.files.records import FORMAT, read_copy
from wsss.io.files.stage_files import COPIES, RECORD, RUN
from wsss.io.text.times import timestamp
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.lock import run_lock
from wsss.pipeline.store.run_folder import read_run, write_run


@dataclass(frozen=True)
class Repair:
    """The outcome for one record that was lost or damaged.

    Args:
        what: what was compared, or why the record cannot be restored.
        hint: what to do instead.
    """

    path: Path
    restored: bool
    what: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON object."""
        return {**asdict(self), "path": str(self.path)}


def repair_folder(folder: Path, log: Callable[[str], None]) -> list[Repair]:
    """Restore the lost or damaged records of a run directory, or of a single stage's folder.

    Args:
        folder: see `can_hold_records`.

    Returns:
        One outcome per lost or damaged record.

    Raises:
        RunFailed: another process works in the folder, or it is not writable.
    """
    log(f"Searching {folder} for lost or damaged records: each is restored from its copy if all files match the copy.")
    with run_lock(folder, log):
        if _holds(folder, RECORD) and not _holds(folder, RUN):
            return _repair_stage(folder, known=True)
        repairs = _repair_run(folder)
        stages = _stages(folder)
        for id in stages or [path.name for path in sorted(folder.iterdir()) if path.is_dir()]:
            repairs += _repair_stage(folder / id, known=bool(stages))
    return repairs


def can_hold_records(folder: Path) -> bool:
    """Return whether a folder, or a folder in it, holds a record or the copy of one."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return _holds(folder, RUN) or any(_holds(path, RECORD) for path in (folder, *inside))


def _holds(folder: Path, record: str) -> bool:
    return any((folder / name).is_file() for name in (record, COPIES[record]))


def _stages(run_dir: Path) -> list[str]:
    try:
        return [stage["id"] for stage in (read_run(run_dir) or {}).get("stages", [])]
    except InvalidInput:
        return []


def _repair_run(run_dir: Path) -> list[Repair]:
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
            raise ValueError("its copy has a different format")
    except ValueError as error:
        hint = f"To write it again, {first}run the pipeline again: wsss run PIPELINE --run-dir {run_dir} (finished "
        return [Repair(path, False, f"{problem}; {error}", f"{hint}stages are kept).")]
    if path.is_dir():
        return [_obstructed(path)]
    write_run(run_dir, {**copy, "restored": timestamp()})
    return [Repair(path, True, f"it was {problem}; the checksum of its copy is valid")]


def _repair_stage(folder: Path, *, known: bool) -> list[Repair]:
    """Restore the record of a stage.

    Args:
        folder: folder of the stage, which may never have run.
        known: the run lists it as a stage; any other folder without a record is ignored.
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
    hint = f"The origin of these files is unknown. Move {folder} away to keep them; wsss run then re-runs the stage."
    try:
        copy = read_copy(path)
        if copy.get("status") != "done" or not copy.get("identity"):
            raise ValueError("its copy is not that of a finished stage")
        if path.is_dir():
            return [_obstructed(path)]
        _compare(folder, copy.get("artifacts") or {})
    except ValueError as error:
        return [Repair(path, False, f"{problem}; {error}", hint)]
    stage_folder.write_record(folder, {**copy, "restored": timestamp()})
    what = f"it was {problem}; the checksum of its copy and the hashes of all {len(copy.get('artifacts') or {})} files"
    return [Repair(path, True, f"{what} are valid")]


def _obstructed(path: Path) -> Repair:
    """Return the outcome for a folder in place of a record, which is left to the user to delete."""
    hint = f"Delete the folder {path} and run the same command again."
    return Repair(path, False, "there is a folder in its place; the checksum of its copy is valid", hint)


def _compare(folder: Path, artifacts: dict[str, Any]) -> None:
    """Require a folder to hold exactly the listed files, with their hashes."""
    damages = stage_folder.verify(folder, artifacts, content=True)
    if damages:
        raise ValueError(f"its copy lists other files: {listing(damages, limit=3)}")
    if not all(known.get("sha256") for known in artifacts.values()):
        raise ValueError("its copy lists files without hashes")
    if stage_folder.has_unlisted_files(folder, artifacts):
        raise ValueError("the folder contains files that its copy does not list")
