"""The state of a run, read from its records: for ``wsss status``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.locking import State
from wsss.pipeline.store.lock import lock_of, read_holder
from wsss.pipeline.store.outdated import Outdated, summary_of
from wsss.pipeline.store.progress_note import read_note
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.stage_folder import read_record


def summarise(folder: Path) -> dict[str, Any] | None:
    """Return the state of a run directory or of a single stage's folder as JSON values, ``None`` for any other folder.

    The keys are ``run_dir``, ``name``, ``status``, ``held_by`` (``{"pid", "host", "start"}`` of a live process, or
    ``None``), ``lock_problem`` (why it is unknown whether there is one, or ``None``), ``report`` and ``stages``, a list
    of ``{"id", "uses", "status", "seconds", "finished", "progress", "metrics"}``. The status of a stage is ``pending``,
    ``running``, ``interrupted``, ``unknown`` (one of those two), ``failed``, ``stale`` (to be re-run: its settings or
    inputs have changed, or ``--force`` discarded it), ``broken`` (its record is damaged) or ``done``.

    Raises:
        InvalidInput: a damaged ``run.json``.
    """
    run = read_run(folder)
    lock, problem = lock_of(folder)
    holder = read_holder(folder) if lock == "held" else None
    if run is not None:
        entries = {stage["id"]: stage["uses"] for stage in run.get("stages", [])}
        records = {id: summary_of(_record(folder / id)) for id in entries}
        outdated = Outdated(run, lambda id: records[id])
        stages = [_stage(folder / id, id, uses, records[id], lock) for id, uses in entries.items()]
        for stage in stages:
            if outdated.replaces(stage["id"]):
                stage["status"] = "stale"
            stage["status"] = status_in_run(run, stage["id"], stage["status"], stage["finished"])
        name, status, report = run["name"], run.get("status") or "unknown", run.get("report")
    else:
        record = read_record(folder)
        if record is None:
            return None
        stages = [_stage(folder, record.get("id") or folder.name, record.get("uses") or "unknown", record, lock)]
        name, status, report = record.get("id") or folder.name, record.get("status") or "unknown", None
    return {
        "run_dir": str(folder),
        "name": name,
        "status": "running" if lock == "held" else _not_held(status, lock),
        "held_by": asdict(holder) if holder else None,
        "lock_problem": problem or None,
        "report": str(folder / report) if report else None,
        "stages": stages,
    }


def status_in_run(run: Mapping[str, Any], id: str, status: str, finished: str | None) -> str:
    """Return the status of a stage: that of its record, unless the run failed at it before its folder was changed.

    Args:
        status, finished: status and end of the stage in its record, used if newer than the end of the run.
    """
    failed_here = run.get("status") == "failed" and run.get("failed") == id
    return "failed" if failed_here and (finished is None or finished <= (run.get("finished") or "")) else status


def _not_held(status: str, lock: State) -> str:
    """Return the status to show for a recorded status: without a live process, ``running`` means interrupted."""
    return {"held": status, "free": "interrupted", "unknown": "unknown"}[lock] if status == "running" else status


def _record(folder: Path) -> Mapping[str, Any]:
    try:
        return read_record(folder) or {"status": "pending"}
    except InvalidInput:
        return {"status": "broken"}


def _stage(folder: Path, id: str, uses: str, record: Mapping[str, Any], lock: State) -> dict[str, Any]:
    recorded = record.get("status") or "unknown"
    return {
        "id": id,
        "uses": uses,
        "status": _not_held(recorded, lock),
        "seconds": record.get("seconds") or 0.0,
        "finished": record.get("finished"),
        "progress": read_note(folder) if recorded in ("running", "interrupted") else None,
        "metrics": record.get("metrics") or {},
    }
