"""Reading everything that a run has recorded, and listing what is damaged: for ``wsss status --verify``.

`wsss run` looks at sizes and times of change alone, and whoever reads a file compares it with its record; this is for
all files at once, read or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.recorded import rerun_hint
from wsss.io.files.sealed import check_sealed_zip
from wsss.io.files.stage_files import CHECKPOINT, RECORD, RUN
from wsss.io.text.json_files import read_json
from wsss.pipeline.processes.machine import MACHINE
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.run_folder import read_run

Track = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class Finding:
    """One damaged file.

    Args:
        stage: id of its stage; ``None`` for the run's own record.
        path: the file.
        what: what is wrong with it (``missing``, ``truncated``, ``changed``, or in more words).
        hint: what to do about it.
    """

    stage: str | None
    path: Path
    what: str
    hint: str


@dataclass
class Verification:
    """What was found.

    Args:
        files: number of files that were compared with their record.
        damaged: those that aren't what was written.
        not_recorded: ids of finished stages of an older version, which recorded no hashes.
        unfinished: ids of stages that have no result to verify.
    """

    files: int = 0
    damaged: list[Finding] = field(default_factory=list)
    not_recorded: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        damaged = [
            {"stage": one.stage, "path": str(one.path), "what": one.what, "hint": one.hint} for one in self.damaged
        ]
        return {
            "files": self.files,
            "damaged": damaged,
            "not_recorded": self.not_recorded,
            "unfinished": self.unfinished,
        }


def verify_folder(folder: Path, track: Track = lambda what, total: lambda steps: None) -> Verification | None:
    """Read all recorded files of a run directory or of a single stage's folder; ``None`` if it is neither.

    Args:
        folder: what to verify; nothing in it is changed.
        track: what is done, and how many of it → a function that is called with the number of each that are done.
    """
    found = Verification()
    stages = _stages(folder, found)
    if stages is None:
        return None
    records = {stage: record for stage in stages if (record := _record(stage, found)) is not None}
    advance = track("verifying", sum(len(_artifacts(record)) for record in records.values()))
    for stage, record in records.items():
        _verify_stage(stage, record, found, advance)
    return found


def _stages(folder: Path, found: Verification) -> list[Path] | None:
    """Return the folders of the stages; a run whose record is damaged has those that it holds."""
    try:
        run = read_run(folder)
    except InvalidInput as error:
        found.damaged.append(Finding(None, folder / RUN, error.message, error.hint or ""))
        return sorted(path.parent for path in folder.glob(f"*/{RECORD}"))
    if run is not None:
        return [folder / str(stage["id"]) for stage in run.get("stages", [])]
    return [folder] if (folder / RECORD).is_file() else None


def _record(stage: Path, found: Verification) -> Mapping[str, Any] | None:
    try:
        record = stage_folder.read_record(stage)
    except InvalidInput as error:
        found.damaged.append(Finding(stage.name, stage / RECORD, error.message, error.hint or ""))
        return None
    if record is None:
        found.unfinished.append(stage.name)
    return record


def _artifacts(record: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return record.get("artifacts") or {}


def _verify_stage(stage: Path, record: Mapping[str, Any], found: Verification, advance: Callable[[int], None]) -> None:
    if record.get("status") != "done":
        found.unfinished.append(stage.name)
        found.damaged += _checkpoint(stage, record)
        return
    hint = rerun_hint(stage, stage.name)
    artifacts = _artifacts(record)
    if not all(known.get("sha256") for known in artifacts.values()) or "artifacts" not in record:
        found.not_recorded.append(stage.name)
    for name, known in artifacts.items():
        for damage in stage_folder.verify(stage, {name: known}, content=True):
            found.damaged.append(Finding(stage.name, stage / name, damage.what, hint))
        found.files += bool(known.get("sha256"))
        advance(1)
    found.damaged += _metrics(stage, record)


def _checkpoint(stage: Path, record: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the checkpoint of an unfinished training, if it is damaged."""
    path = stage / CHECKPOINT
    if not (record.get(MACHINE) or {}).get("effective_batch") or not path.is_file():
        return
    try:
        check_sealed_zip(path)
    except (OSError, ValueError) as error:
        yield Finding(stage.name, path, str(error), "The run discards it and starts this training again.")


def _metrics(stage: Path, record: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the file of metrics, if it doesn't say what the record says."""
    path = stage / stage_folder.METRICS
    try:
        same = read_json(path) == record.get("metrics")
    except (OSError, ValueError):
        same = False
    if not same:
        yield Finding(stage.name, path, "changed", "wsss run writes it again; the numbers are in stage.json, too.")
