"""The record in a stage's folder: written when the work begins, and when it ends done, failed or interrupted."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from wsss.errors import RunFailed, WsssError, listing
from wsss.io.files.atomic import discard, explain_os_errors, write_json
from wsss.io.files.contained import check_place
from wsss.io.files.stage_files import RECORD
from wsss.io.text.json_files import read_json
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.plan.external_inputs import artifacts_in
from wsss.pipeline.plan.identity import identity_of, plain
from wsss.pipeline.plan.input_results import INPUT_RESULTS, results_of
from wsss.pipeline.processes.machine import MACHINE, THREADS, machine_record, torch_threads
from wsss.pipeline.run.error_hints import not_finite
from wsss.pipeline.run.task import Session, Task
from wsss.pipeline.stage import Result
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.versions import versions


def open_folder(task: Task, decision: Decision | None, session: Session) -> dict[str, Any]:
    """Make the folder ready and write the first record; return it. Rank 0 only."""
    assert decision is not None
    folder, old = task.folder, decision.record
    check_place(folder / RECORD)
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    stage_folder.sweep_folder(folder)
    if decision.keep:
        for damage in decision.damages:
            session.reporter.log(f"warning: {task.id}: {damage}; it is made again.")
        stage_folder.delete_damaged(folder, list(decision.damages))
    elif old is not None:
        stage_folder.empty(folder, old)
    record = {
        "id": task.id,
        "uses": task.stage.name,
        "provides": task.stage.provides,
        "status": "running",
        "identity": identity_of(task.parts),
        "identity_parts": task.parts,
        "config": plain(task.config.model_dump()),
        "inputs": {name: _shown_input(artifact) for name, artifact in task.inputs.items()},
        INPUT_RESULTS: results_of(task.inputs),
        "seed": task.seed,
        "metrics": {},
        "provenance": {},
        "seconds": float((old or {}).get("seconds") or 0.0) if decision.keep else 0.0,
        "started": _now(),
        "finished": None,
        "host": socket.gethostname(),
        "device": session.device,
        MACHINE: machine_record(task, decision, session),
        "versions": versions(),
        "artifacts": {},
    }
    if old is not None and (decision.reasons == ("forced",) or (decision.keep and old.get("forced"))):
        record["forced"] = True  # until it is done: an interrupted run that was forced takes no other's result
    stage_folder.write_record(folder, record)
    return record


def publish(task: Task, record: Mapping[str, Any], result: Result, seconds: float, peak: int | None) -> dict[str, Any]:
    """Write metrics, list the artifacts, and only then call the stage done. Rank 0 only."""
    wrong = list(not_finite(result.metrics))
    if wrong:
        raise RunFailed(
            f"metrics that are no numbers: {listing(wrong)}.",
            hint="A training that diverges often needs a lower learning rate, or --precision 32-true.",
        )
    try:
        metrics = json.loads(json.dumps(dict(result.metrics), allow_nan=False))
        own = json.loads(json.dumps(dict(result.provenance), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RunFailed(f"the stage returned metrics or provenance that are not JSON ({error}).") from error
    write_json(task.folder / stage_folder.METRICS, metrics)
    done = {
        **{key: value for key, value in record.items() if key != "forced"},
        "status": "done",
        "metrics": metrics,
        "provenance": {**_upstream_provenance(task), **own},
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak,
        "finished": _now(),
        MACHINE: {**record[MACHINE], THREADS: record[MACHINE][THREADS] or torch_threads()},
        "artifacts": stage_folder.list_artifacts(task.folder),
    }
    stage_folder.write_record(task.folder, done)
    stage_folder.drop_checkpoint(task.folder)
    return done


def note_failure(task: Task, record: Mapping[str, Any], error: BaseException, seconds: float) -> None:
    """Write into the record how the work ended, if that can be written at all."""
    status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    note = {**record, "status": status, "seconds": round(seconds, 3), "finished": _now()}
    with suppress(WsssError, OSError):  # a full disk, say: the error that is on its way says what is wrong
        stage_folder.write_record(task.folder, note)


def repaired(task: Task, decision: Decision | None, session: Session) -> dict[str, Any]:
    """Return the record of a finished stage; its ``metrics.json`` is written again if it isn't what it was."""
    record = dict(decision.record or {}) if decision else {}
    path = task.folder / stage_folder.METRICS
    try:
        same = read_json(path) == record.get("metrics")
    except (OSError, ValueError):
        same = False
    if not same:
        session.reporter.log(f"warning: {task.id}: {stage_folder.METRICS} was missing or changed; it is written again.")
        if path.is_dir():
            discard(path)
        write_json(path, record.get("metrics") or {})
    stage_folder.drop_checkpoint(task.folder)  # still there if a kill came right after the record
    return record


def _upstream_provenance(task: Task) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for artifact in artifacts_in(task.inputs):
        merged.update(artifact.provenance)
    return merged


def _shown_input(artifact: Any) -> Any:
    """Return how ``stage.json`` names an input: the id of a stage, or a path."""
    if artifact is None:
        return None
    if isinstance(artifact, tuple):
        return [_shown_input(one) for one in artifact]
    return artifact.id or os.fspath(artifact.path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
