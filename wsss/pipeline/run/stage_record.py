"""Writing ``stage.json``: when a stage starts, and when it ends done, failed or interrupted."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from wsss.errors import RunFailed, WsssError, listing
from wsss.io.files.atomic import convert_os_errors, discard, sweep, write_json
from wsss.io.files.contained import check_contained
from wsss.io.files.stage_files import RECORD
from wsss.io.text.times import timestamp
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.plan.external_inputs import artifacts_in
from wsss.pipeline.plan.identity import identity_of, plain
from wsss.pipeline.plan.input_results import results_of
from wsss.pipeline.run.error_hints import not_finite
from wsss.pipeline.run.machine import MACHINE, THREADS, machine_record, torch_threads
from wsss.pipeline.run.task import Session, Task
from wsss.pipeline.stage import Result
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.versions import versions


def begin_record(
    task: Task, decision: Decision | None, session: Session, *, precision: str | None = None
) -> dict[str, Any]:
    """Prepare the folder, write the first record and return it. Rank 0 only."""
    assert decision is not None
    old = decision.record
    _prepare_folder(task, decision, session)
    record = {
        "id": task.id,
        "uses": task.stage.name,
        "provides": task.stage.provides,
        "status": "running",
        "identity": identity_of(task.parts),
        "identity_parts": task.parts,
        "config": plain(task.config.model_dump()),
        "inputs": {name: _input_name(artifact) for name, artifact in task.inputs.items()},
        stage_folder.INPUT_RESULTS: results_of(task.inputs),
        "seed": task.seed,
        "metrics": {},
        "provenance": {},
        "seconds": float((old or {}).get("seconds") or 0.0) if decision.keep else 0.0,
        "started": timestamp(),
        "finished": None,
        "host": socket.gethostname(),
        "device": session.device,
        MACHINE: machine_record(task, decision, session, precision),
        "versions": versions(),
        "artifacts": {},
    }
    if old is not None and (decision.reasons == ("forced",) or (decision.keep and old.get("forced"))):
        record["forced"] = True  # until it is done: a forced stage that is interrupted copies no other result
    stage_folder.write_record(task.folder, record)
    return record


def _prepare_folder(task: Task, decision: Decision, session: Session) -> None:
    """Create the folder, and delete what the stage cannot keep of an earlier result."""
    folder = task.folder
    check_contained(folder / RECORD)
    with convert_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
    if decision.keep:
        for damage in decision.damages:
            session.reporter.log(f"warning: {task.id}: {damage}; it is computed again.")
        stage_folder.delete_damaged(folder, decision.damages)
    elif decision.record is not None:
        stage_folder.empty(folder, decision.record)


def publish(task: Task, record: Mapping[str, Any], result: Result, seconds: float, peak: int | None) -> dict[str, Any]:
    """Write the metrics and list the artifacts, then write the record with status done. Rank 0 only.

    Raises:
        RunFailed: metrics that are not finite, or a result that is not JSON.
    """
    invalid = list(not_finite(result.metrics))
    if invalid:
        raise RunFailed(
            f"non-finite metrics: {listing(invalid)}",
            hint="If training diverged, lower the learning rate, or use --precision 32-true.",
        )
    try:
        metrics = json.loads(json.dumps(dict(result.metrics), allow_nan=False))
        own = json.loads(json.dumps(dict(result.provenance), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RunFailed(f"the stage returned metrics or provenance that are not JSON ({error})") from error
    write_json(task.folder / stage_folder.METRICS, metrics)
    done = {
        **{key: value for key, value in record.items() if key != "forced"},
        "status": "done",
        "metrics": metrics,
        "provenance": {**_upstream_provenance(task), **own},
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak,
        "finished": timestamp(),
        MACHINE: {**record[MACHINE], THREADS: record[MACHINE][THREADS] or torch_threads()},
        "artifacts": stage_folder.list_artifacts(task.folder),
    }
    stage_folder.write_record(task.folder, done)
    stage_folder.drop_checkpoint(task.folder)
    return done


def record_failure(task: Task, record: Mapping[str, Any], error: BaseException, seconds: float) -> None:
    """Write status ``failed`` or ``interrupted``, if the folder is writable."""
    status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    ended = {**record, "status": status, "seconds": round(seconds, 3), "finished": timestamp()}
    with suppress(WsssError, OSError):  # the error that ended the stage is the one to report
        stage_folder.write_record(task.folder, ended)


def restore_metrics(task: Task, decision: Decision | None, session: Session) -> dict[str, Any]:
    """Return the record of a finished stage; write its ``metrics.json`` again if it is missing or changed."""
    record = dict(decision.record or {}) if decision else {}
    path = task.folder / stage_folder.METRICS
    if not stage_folder.has_metrics_of(task.folder, record):
        session.reporter.log(f"warning: {task.id}: {stage_folder.METRICS} was missing or changed; it is written again.")
        if path.is_dir():
            discard(path)
        write_json(path, record.get("metrics") or {})
    stage_folder.drop_checkpoint(task.folder)  # left over if the process was killed right after the record was written
    return record


def _upstream_provenance(task: Task) -> dict[str, Any]:
    provenance: dict[str, Any] = {}
    for name, value in task.inputs.items():
        artifacts = artifacts_in({name: value})
        collected = {key: value for artifact in artifacts for key, value in artifact.provenance.items()}
        nested = task.stage.inputs[name].nested
        provenance |= {name: collected} if nested and collected else collected
    return provenance


def _input_name(artifact: Any) -> Any:
    """Return the id of the stage of an input, or the path of an external folder."""
    if artifact is None:
        return None
    if isinstance(artifact, tuple):
        return [_input_name(part) for part in artifact]
    return artifact.id or os.fspath(artifact.path)
