"""Outdated results: finished stages whose settings or inputs have changed since.

`wsss run` compares identities before it skips a stage. Commands that read a finished run have only its records:
``run.json`` lists the results that the pipeline no longer produces, and the record of a stage has the identities of its
inputs and hashes of their files. Nothing is deleted: if pipeline and inputs change back, a result is current
again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.stage_folder import INPUT_RESULTS, read_record, result_of

OUTDATED = "outdated"
"""Key of ``run.json``: id → identity of a result of settings or a dataset that differ from those of the run."""

STALE = "earlier settings or inputs, or --force"
"""The reasons for the status ``stale``, for messages."""

Record = Mapping[str, Any]

_RESULT = "result"
"""Key of `summary_of` in a record: the hash of the stage's files."""


def summary_of(record: Record) -> dict[str, Any]:
    """Return a record with a hash instead of the list of files, which has several entries per image of the dataset."""
    kept = {key: value for key, value in record.items() if key != "artifacts"}
    return {**kept, _RESULT: result_of(record)} if record else {}


@dataclass
class Outdated:
    """Decides which results of a run are outdated.

    Args:
        run: the record of the run.
        read: id → record of a stage, see `summary_of`; empty if it has none.
    """

    run: Record
    read: Callable[[str], Record]
    _known: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ids = {str(stage["id"]) for stage in self.run.get("stages") or ()}

    def __contains__(self, id: str) -> bool:
        if id not in self._known:
            self._known[id] = False  # a damaged record may name itself as its input
            self._known[id] = self._is_outdated(id, self.read(id))
        return self._known[id]

    def replaces(self, id: str) -> bool:
        """Return whether ``stale`` replaces the status of a stage: if its result, complete or partial, is outdated."""
        return self.read(id).get("status") in ("done", "failed") and id in self

    def is_stale(self, id: str) -> bool:
        """Return whether a stage has a result that is outdated, or that ``--force`` discarded."""
        return self.read(id).get("status") == "stale" or self.replaces(id)

    def _is_outdated(self, id: str, record: Record) -> bool:
        identity = record.get("identity")
        if identity is None:
            return False
        if (self.run.get(OUTDATED) or {}).get(id) == identity:
            return True
        if id not in self._ids:
            return False  # computed by a command, perhaps from stages of another run with the same ids
        return any(self._changed(*used) for used in _inputs(record) if used[0] in self._ids)

    def _changed(self, id: str, identity: Any, result: Any) -> bool:
        """Return whether the result of an input stage differs from the one that was used."""
        now = self.read(id)
        if not now.get("identity") or not isinstance(identity, str) or identity.startswith("content:"):
            return False  # unknown, or files that were edited before they were used
        if identity != now["identity"] or now.get("status") == "stale" or id in self:
            return True
        return None not in (result, now.get(_RESULT)) and result != now.get(_RESULT)


def _inputs(record: Record) -> Iterator[tuple[str, Any, Any]]:
    """Yield id, identity and hash of files of the results that a stage used; external folders have a path as id."""
    identities = (record.get("identity_parts") or {}).get("inputs") or {}
    results = record.get(INPUT_RESULTS) or {}
    for name, value in (record.get("inputs") or {}).items():
        identity, result = identities.get(name), results.get(name)
        if isinstance(value, str):
            yield value, identity, result
        elif isinstance(value, list) and isinstance(identity, Mapping):
            hashes = result if isinstance(result, Mapping) else {}
            yield from ((id, identity[id], hashes.get(id)) for id in value if id in identity)


def records_of_run(run_dir: Path, run: Record) -> dict[str, dict[str, Any]]:
    """Return id → record of all stages of a run, see `summary_of`; outdated results have status ``stale``.

    Raises:
        InvalidInput: a damaged record.
    """
    ids = [str(stage["id"]) for stage in run.get("stages") or ()]
    records = {id: summary_of(read_record(run_dir / id) or {}) for id in ids}
    outdated = Outdated(run, lambda id: records[id])
    return {id: {**record, "status": "stale"} if outdated.replaces(id) else record for id, record in records.items()}


def warn_of_outdated(folders: Iterable[Path], option: str, log: Callable[[str], None]) -> None:
    """Log a warning for each of the given folders of stages that holds an outdated result of the run it is in.

    Args:
        folders: the values of an option; a result whose run or inputs have damaged records is not reported.
        option: the option, for messages.
        log: logs a line for the user.
    """
    runs: dict[Path, Outdated] = {}
    for folder in folders:
        run_dir, id = folder.resolve().parent, folder.resolve().name
        if run_dir not in runs:
            runs[run_dir] = results_in(run_dir)
        if runs[run_dir].replaces(id):
            log(f"warning: {option} {folder}: stale ({STALE}); it is used as it is.")


def results_in(run_dir: Path) -> Outdated:
    """Return which results of a run directory are outdated; those with damaged records are not."""

    @functools.cache
    def read(id: str) -> Record:
        try:
            return summary_of(read_record(run_dir / id) or {})
        except InvalidInput:
            return {}

    try:
        return Outdated(read_run(run_dir) or {}, read)
    except InvalidInput:
        return Outdated({}, read)


def note_left_out(run_dir: Path, records: Mapping[str, Record], log: Callable[[str], None]) -> None:
    """Log which of the stages of a command (id → record, of `records_of_run`) it leaves out because they are stale."""
    stale = [id for id, record in records.items() if record.get("status") == "stale"]
    if stale:
        log(f"note: {run_dir}: {listing(stale)} left out: stale ({STALE}); wsss run brings them up to date.")
