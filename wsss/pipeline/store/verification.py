"""Verification of all recorded files of a run: for ``wsss status --verify``.

`wsss run` compares sizes and modification times only, and readers compare hashes; this reads all files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.recorded import rerun_hint
from wsss.io.files.sealed import check_sealed_zip
from wsss.io.files.stage_files import CHECKPOINT, RECORD, RUN
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.run_folder import read_run

Track = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class Finding:
    """One damaged file.

    Args:
        stage: id of its stage; ``None`` for the run's own record.
        what: the damage (``missing``, ``truncated``, ``changed``, or a longer text).
    """

    stage: str | None
    path: Path
    what: str
    hint: str


@dataclass
class Verification:
    """The result.

    Args:
        files: number of files compared with their record.
        damaged: files that differ from it.
        not_recorded: ids of finished stages whose records have no hashes.
        unfinished: ids of stages without a result.
    """

    files: int = 0
    damaged: list[Finding] = field(default_factory=list)
    not_recorded: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object, with paths as text."""
        return {**asdict(self), "damaged": [{**asdict(damage), "path": str(damage.path)} for damage in self.damaged]}


def verify_folder(folder: Path, track: Track = lambda what, total: lambda steps: None) -> Verification | None:
    """Read all recorded files of a run directory or of a single stage's folder; ``None`` for any other folder.

    Args:
        folder: folder to verify; nothing in it is changed.
        track: starts a progress bar of a description and a total; returns a function that advances it.
    """
    result = Verification()
    stages = _stages(folder, result)
    if stages is None:
        return None
    records = {stage: record for stage in stages if (record := _record(stage, result)) is not None}
    advance = track("verifying", sum(len(_artifacts(record)) for record in records.values()))
    for stage, record in records.items():
        _verify_stage(stage, record, result, advance)
    return result


def _stages(folder: Path, result: Verification) -> list[Path] | None:
    """Return the folders of the stages; of a run with a damaged record, those that exist."""
    try:
        run = read_run(folder)
    except InvalidInput as error:
        result.damaged.append(Finding(None, folder / RUN, error.message, error.hint or ""))
        return sorted(path.parent for path in folder.glob(f"*/{RECORD}"))
    if run is not None:
        return [folder / str(stage["id"]) for stage in run.get("stages", [])]
    return [folder] if (folder / RECORD).is_file() else None


def _record(stage: Path, result: Verification) -> Mapping[str, Any] | None:
    try:
        record = stage_folder.read_record(stage)
    except InvalidInput as error:
        result.damaged.append(Finding(stage.name, stage / RECORD, error.message, error.hint or ""))
        return None
    if record is None:
        result.unfinished.append(stage.name)
    return record


def _artifacts(record: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return record.get("artifacts") or {}


def _verify_stage(stage: Path, record: Mapping[str, Any], result: Verification, advance: Callable[[int], None]) -> None:
    if record.get("status") != "done":
        result.unfinished.append(stage.name)
        result.damaged += _checkpoint(stage, record)
        return
    artifacts = _artifacts(record)
    if not all(known.get("sha256") for known in artifacts.values()) or "artifacts" not in record:
        result.not_recorded.append(stage.name)
    for name, known in artifacts.items():
        for damage in stage_folder.verify(stage, {name: known}, content=True):
            result.damaged.append(Finding(stage.name, stage / name, damage.what, rerun_hint(stage, stage.name)))
        result.files += bool(known.get("sha256"))
        advance(1)
    if not stage_folder.has_metrics_of(stage, record):
        hint = "wsss run writes it again; stage.json holds the same numbers."
        result.damaged.append(Finding(stage.name, stage / stage_folder.METRICS, "changed", hint))


def _checkpoint(stage: Path, record: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the checkpoint of an unfinished training run, if it is damaged."""
    path = stage / CHECKPOINT
    if not (record.get("machine") or {}).get("effective_batch") or not path.is_file():
        return
    try:
        check_sealed_zip(path)
    except (OSError, ValueError) as error:
        yield Finding(stage.name, path, str(error), "The run discards it and restarts training.")
