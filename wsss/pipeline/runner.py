"""Running one stage: the same way for pipelines, single-stage commands and tests."""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from wsss.errors import InvalidInput, RunFailed, WsssError, listing
from wsss.io.atomic import explain_os_errors, write_json
from wsss.pipeline import store
from wsss.pipeline.decide import Decision, decide
from wsss.pipeline.device import resolve_device
from wsss.pipeline.explain import full_disk, not_finite
from wsss.pipeline.identity import Contents, Fingerprints, identity_of, identity_parts, plain
from wsss.pipeline.interrupt import Interrupted, as_interrupt
from wsss.pipeline.memory import peak_bytes, reset_peak
from wsss.pipeline.progress import Reporter
from wsss.pipeline.ranks import AnyRanks, SingleRank
from wsss.pipeline.rundir import read_run
from wsss.pipeline.stage import Artifact, Context, Result, Stage, StageConfig
from wsss.pipeline.versions import versions

Status = Literal["done", "skipped", "failed", "interrupted"]


@dataclass
class Session:
    """What all stages of one process share.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``; resolved when the first stage has to run.
        workers: processes for per-image work.
        reporter: messages and progress.
        ranks: the processes that work together.
        run_dir: the run's folder.
    """

    run_dir: Path
    device: str = "cpu"
    workers: int = 1
    reporter: Reporter = field(default_factory=Reporter)
    ranks: AnyRanks = field(default_factory=SingleRank)

    def settle_device(self) -> str:
        """Return ``cpu`` or ``cuda``."""
        self.device = resolve_device(self.device)
        return self.device


@dataclass(frozen=True)
class Task:
    """One stage with all that its result depends on; what `perform` is given."""

    id: str
    stage: Stage[Any]
    config: StageConfig
    seed: int
    inputs: Mapping[str, Any]
    data: Any
    folder: Path
    parts: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a stage."""

    id: str
    uses: str
    status: Status
    seconds: float
    metrics: Mapping[str, Any]
    artifact: Artifact
    reasons: tuple[str, ...] = ()


def run_stage(
    stage: Stage[Any],
    config: StageConfig,
    *,
    out: Path,
    inputs: Mapping[str, Artifact | tuple[Artifact, ...] | None] | None = None,
    data: Any = None,
    seed: int = 0,
    force: bool = False,
    session: Session | None = None,
) -> Outcome:
    """Run one stage by itself into the folder ``out``; skip it when it is finished, go on when it was interrupted.

    Args:
        stage, config, data, seed: what to run.
        out: its folder: new, empty, or that of an earlier run of a stage.
        inputs: declared input → `Artifact` (see `artifact_at`), several for ``many``, ``None`` for none.
        force: run from scratch.
        session: device, workers and so on (default: CPU, one worker, messages on stderr).

    Raises:
        InvalidInput: the stage's check failed, a required input is missing, or ``out`` is someone else's folder.
        RunFailed: the work failed.
    """
    session = session or Session(run_dir=out.parent)
    given = dict(inputs or {})
    for name, declared in stage.inputs.items():
        if not given.get(name) and not declared.optional:
            raise InvalidInput(f"{stage.name} requires the input {name!r} ({' or '.join(declared.kinds)}).")
        given.setdefault(name, () if declared.many else None)
        if declared.many:
            _check_distinct(name, given[name])

    decision: Decision | None = None

    def prepare() -> dict[str, Any]:
        nonlocal decision
        fingerprints, contents = Fingerprints(data), Contents()
        identities = {name: _identity(artifact, contents) for name, artifact in given.items()}
        parts = identity_parts(stage, config, seed, identities, fingerprints, contents)
        stage.check(config, data)
        stage.check_inputs(config, {name: _ids(artifact) for name, artifact in given.items()})
        store.check_ours(out, stage.name)
        decision = decide(out, parts, force=force)
        if decision.action == "run":
            stage.prepare(config, data)
        return parts

    parts = session.ranks.from_first(prepare)
    task = Task(out.name, stage, config, seed, given, data, out, parts)
    return perform(task, decision, session)


def perform(task: Task, decision: Decision | None, session: Session) -> Outcome:
    """Do what was decided for one stage. ``decision`` is known on rank 0 only, the others hear of it.

    Raises:
        RunFailed, InvalidInput: the stage failed; the message names it.
        Interrupted: a signal came; the record says so.
    """
    ranks, first = session.ranks, session.ranks.rank == 0
    if ranks.from_first(lambda: decision is not None and decision.action == "skip"):
        return _skipped(task, ranks.from_first(lambda: _mended(task, decision, session)))

    if decision is not None and decision.reasons != ("never ran",):
        session.reporter.log(f"{task.id} runs again: {'; '.join(decision.reasons)}")
    session.settle_device()
    begun = time.monotonic()
    record: dict[str, Any] = ranks.from_first(lambda: _open_folder(task, decision, session))
    session.reporter.start(task.id, task.folder)
    try:
        ranks.barrier()
        reset_peak(session.device)
        result = _work(task, session)
        ranks.barrier()
        seconds = record["seconds"] + time.monotonic() - begun
        peak = peak_bytes(session.device)
        record = ranks.from_first(lambda: _publish(task, record, result, seconds, peak))
    except BaseException as caught:
        error = as_interrupt(caught)
        session.reporter.interrupt()
        if first:
            _note_failure(task, record, error, record["seconds"] + time.monotonic() - begun)
        explained = _explained(task, error, session)
        if explained is caught:
            raise
        raise explained from caught
    session.reporter.stop()
    reasons = decision.reasons if decision else ()
    return Outcome(
        task.id, task.stage.name, "done", record["seconds"], record["metrics"], _artifact(task, record), reasons
    )


def artifact_at(folder: Path, kinds: tuple[str, ...], option: str, reporter: Reporter) -> Artifact:
    """Return a folder given by hand as an input.

    With a ``stage.json`` it carries identity and provenance; without one it is taken for what it holds.

    Args:
        folder: the input.
        kinds: what it may be.
        option: how the user named it, for messages (``--cams``).
        reporter: hears of files that were changed by hand.

    Raises:
        InvalidInput: no folder, an unfinished stage, or the wrong kind.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{option} {folder}: no such folder.")
    record = store.read_record(folder)
    if record is None:
        return Artifact(folder)
    if record.get("status") != "done":
        raise InvalidInput(
            f"{option} {folder}: this stage is not finished (status {record.get('status')}).",
            mend="Finish it first, by the command that began it.",
        )
    if record.get("provides") not in (None, *kinds):
        raise InvalidInput(
            f"{option} {folder}: found {record['provides']} (made by {record.get('uses')}); allowed are "
            f"{' or '.join(kinds)}."
        )
    artifacts = record.get("artifacts") or {}
    identity: str | None = record["identity"]
    if store.verify(folder, artifacts) or not store.is_unlisted_free(folder, artifacts):
        reporter.log(f"warning: {option} {folder}: files were changed after the stage finished; taken as they are.")
        identity = None
    return Artifact(
        folder,
        id=record.get("id"),
        uses=record.get("uses"),
        identity=identity,
        config=record.get("config") or {},
        metrics=record.get("metrics") or {},
        provenance=record.get("provenance") or {},
    )


def artifacts_of_run(folder: Path, kinds: tuple[str, ...], option: str, reporter: Reporter) -> list[Artifact] | None:
    """Return all finished stages of a run directory that an input may be, or ``None`` if it is no run directory.

    Raises:
        InvalidInput: none of its stages is finished and fits.
    """
    run = read_run(folder)
    if run is None:
        return None
    found = []
    for stage in run.get("stages", []):
        record = store.read_record(folder / stage["id"])
        if record is not None and record.get("status") == "done" and record.get("provides") in kinds:
            found.append(artifact_at(folder / stage["id"], kinds, option, reporter))
    if not found:
        raise InvalidInput(f"{option} {folder}: no finished stage of this run provides {' or '.join(kinds)}.")
    return found


def _check_distinct(name: str, artifacts: Any) -> None:
    """Refuse two stages of one name in an input: identity and page tell them apart by their names."""
    seen: dict[str, Path] = {}
    for one in artifacts or ():
        if one.id in seen:
            raise InvalidInput(
                f"{name}: two stages are called {one.id!r}: {seen[one.id]} and {one.path}.",
                mend="Leave one of them out; the stages of two runs can't stand side by side.",
            )
        if one.id is not None:
            seen[one.id] = one.path


def _ids(artifact: Any) -> tuple[str, ...]:
    """Return how the stages of an input are called; a folder from elsewhere by its name."""
    several = artifact if isinstance(artifact, tuple) else (artifact,)
    return tuple(one.id or one.path.name for one in several if one is not None)


def _identity(artifact: Any, contents: Contents) -> Any:
    """Return what stands for an input in an identity: the maker's identity, else a hash of what the folder holds."""
    if artifact is None:
        return None
    if isinstance(artifact, tuple):
        return {one.id or str(index): _identity(one, contents) for index, one in enumerate(artifact)}
    return artifact.identity or f"content:{contents.of(artifact.path)}"


def _open_folder(task: Task, decision: Decision | None, session: Session) -> dict[str, Any]:
    """Make the folder ready and write the first record; return it. Rank 0 only."""
    assert decision is not None
    folder, old = task.folder, decision.record
    with explain_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    store.sweep_folder(folder)
    if decision.keep:
        for damage in decision.damages:
            session.reporter.log(f"warning: {task.id}: {damage}; it is made again.")
        store.delete_damaged(folder, list(decision.damages))
    elif old is not None:
        store.empty(folder, old)
    record = {
        "id": task.id,
        "uses": task.stage.name,
        "provides": task.stage.provides,
        "status": "running",
        "identity": identity_of(task.parts),
        "identity_parts": task.parts,
        "config": plain(task.config.model_dump()),
        "inputs": {name: _shown_input(artifact) for name, artifact in task.inputs.items()},
        "seed": task.seed,
        "metrics": {},
        "provenance": {},
        "seconds": float((old or {}).get("seconds") or 0.0) if decision.keep else 0.0,
        "started": _now(),
        "finished": None,
        "host": socket.gethostname(),
        "device": session.device,
        "versions": versions(),
        "artifacts": {},
    }
    store.write_record(folder, record)
    return record


def _work(task: Task, session: Session) -> Result:
    context = Context(
        config=task.config,
        out=task.folder,
        inputs=task.inputs,
        data=task.data,
        seed=task.seed,
        device=session.device,
        workers=session.workers,
        progress=session.reporter,
        ranks=session.ranks,
        log=session.reporter.log,
        run_dir=session.run_dir,
    )
    return task.stage.run(context)


def _publish(task: Task, record: Mapping[str, Any], result: Result, seconds: float, peak: int | None) -> dict[str, Any]:
    """Write metrics, list the artifacts, and only then call the stage done. Rank 0 only."""
    wrong = list(not_finite(result.metrics))
    if wrong:
        raise RunFailed(
            f"metrics that are no numbers: {listing(wrong)}.",
            mend="A training that diverges often needs a lower learning rate, or --precision 32-true.",
        )
    try:
        metrics = json.loads(json.dumps(dict(result.metrics), allow_nan=False))
        own = json.loads(json.dumps(dict(result.provenance), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RunFailed(f"the stage returned metrics or provenance that are not JSON ({error}).") from error
    write_json(task.folder / store.METRICS, metrics)
    done = {
        **record,
        "status": "done",
        "metrics": metrics,
        "provenance": {**_upstream_provenance(task), **own},
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak,
        "finished": _now(),
        "artifacts": store.list_artifacts(task.folder),
    }
    store.write_record(task.folder, done)
    store.drop_checkpoint(task.folder)
    return done


def _note_failure(task: Task, record: Mapping[str, Any], error: BaseException, seconds: float) -> None:
    status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    note = {**record, "status": status, "seconds": round(seconds, 3), "finished": _now()}
    with suppress(WsssError, OSError):  # a full disk, say: the error that is on its way says what is wrong
        store.write_record(task.folder, note)


def _explained(task: Task, error: BaseException, session: Session) -> BaseException:
    """Return the error to raise for one that came out of a stage: it names the stage."""
    if isinstance(error, WsssError):
        return type(error)(f"Stage {task.id!r} failed: {error.message}", mend=error.mend)
    if isinstance(error, KeyboardInterrupt):
        return error if isinstance(error, Interrupted) else Interrupted()
    if not isinstance(error, Exception):
        return error
    full = full_disk(error, task.folder)
    if full is not None:
        return RunFailed(f"Stage {task.id!r} failed: {full.message}", mend=full.mend)
    trace = "".join(traceback.format_exception(error))
    session.reporter.note_in_file(trace)
    return RunFailed(
        f"Stage {task.id!r} failed: {type(error).__name__}: {error}",
        mend="Run again with --debug to see where; run.log has the full traceback.",
    )


def _mended(task: Task, decision: Decision | None, session: Session) -> dict[str, Any]:
    """Return the record of a finished stage; its ``metrics.json`` is written again if it isn't what it was."""
    record = dict(decision.record or {}) if decision else {}
    path = task.folder / store.METRICS
    try:
        same = json.loads(path.read_text(encoding="utf-8")) == record.get("metrics")
    except (OSError, ValueError):
        same = False
    if not same:
        session.reporter.log(f"warning: {task.id}: {store.METRICS} was missing or changed; it is written again.")
        write_json(path, record.get("metrics") or {})
    store.drop_checkpoint(task.folder)  # still there if a kill came right after the record
    return record


def _skipped(task: Task, record: Mapping[str, Any]) -> Outcome:
    metrics = record.get("metrics") or {}
    seconds = float(record.get("seconds") or 0.0)
    return Outcome(task.id, task.stage.name, "skipped", seconds, metrics, _artifact(task, record), ("finished",))


def _artifact(task: Task, record: Mapping[str, Any]) -> Artifact:
    return Artifact(
        task.folder,
        id=task.id,
        uses=task.stage.name,
        identity=record["identity"],
        config=record["config"],
        metrics=record["metrics"],
        provenance=record["provenance"],
    )


def _upstream_provenance(task: Task) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for artifact in task.inputs.values():
        for one in artifact if isinstance(artifact, tuple) else (artifact,):
            merged.update(one.provenance if one is not None else {})
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
