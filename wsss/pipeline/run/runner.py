"""Running one stage: the same way for pipelines, single-stage commands and tests."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, RunFailed, WsssError
from wsss.io.files.contained import check_tree
from wsss.io.process.shared_state import batches_of
from wsss.pipeline.plan.decide import Decision, decide
from wsss.pipeline.plan.deduplicate import copy_files, read_twin
from wsss.pipeline.plan.external_inputs import artifacts_in, check_distinct, identity_of_input, ids_of
from wsss.pipeline.plan.identity import Contents, Fingerprints, identity_of, identity_parts
from wsss.pipeline.plan.input_results import INPUT_RESULTS, follow_inputs, result_of, results_of
from wsss.pipeline.processes.interrupt import Interrupted, as_interrupt
from wsss.pipeline.processes.machine import threads_as_begun
from wsss.pipeline.processes.memory import peak_bytes, reset_peak
from wsss.pipeline.run.error_hints import explained
from wsss.pipeline.run.replaced import Replaced, check_replaced
from wsss.pipeline.run.task import Outcome, Session, Task
from wsss.pipeline.stage import Artifact, Context, Result, Stage, StageConfig
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.stage_record import note_failure, open_folder, publish, repaired


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
            check_distinct(name, given[name])

    decision: Decision | None = None

    def prepare() -> dict[str, Any]:
        nonlocal decision
        fingerprints, contents = Fingerprints(data), Contents()
        identities = {name: identity_of_input(artifact, contents) for name, artifact in given.items()}
        parts = identity_parts(stage, config, seed, identities, fingerprints, contents, session.ranks.size)
        stage.check(config, data)
        stage.check_inputs(config, {name: ids_of(artifact) for name, artifact in given.items()})
        stage_folder.check_ours(out, stage.name)
        decision = follow_inputs(decide(out, parts, force=force, keeps=stage.keeps), results_of(given))
        if decision.action == "run":
            check_tree(out)
            stage.prepare(config, data)
            folders = tuple(artifact.path for artifact in artifacts_in(given))
            check_replaced([Replaced(decision, parts, folders)], data, session.reporter.log)
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
    ranks = session.ranks
    if ranks.from_first(lambda: decision is not None and decision.action == "skip"):
        return _skipped(task, ranks.from_first(lambda: repaired(task, decision, session)))

    session.settle_device()
    with threads_as_begun(task, decision, session), batches_of(getattr(task.config, "batch_size", None)):
        return _work(task, decision, session)


def _work(task: Task, decision: Decision | None, session: Session) -> Outcome:
    """Run a stage's function and keep its record."""
    ranks, first = session.ranks, session.ranks.rank == 0
    try:
        ranks.from_first(lambda: _look_ahead(task, decision, session))
    except Exception as unfit:
        raise _explained(task, unfit, session) from unfit
    if decision is not None and decision.reasons != ("never ran",) and not _logs_resume(task, decision):
        session.reporter.log(f"{task.id} runs again: {'; '.join(decision.reasons)}")
    begun = time.monotonic()
    record: dict[str, Any] = ranks.from_first(lambda: open_folder(task, decision, session))
    session.reporter.start(task.id, task.folder)
    try:
        ranks.barrier()
        reset_peak(session.device)
        twin: dict[str, Any] | None = ranks.from_first(lambda: _twin_of(task))
        if twin is None:
            identity = ranks.from_first(lambda: identity_of({**task.parts, INPUT_RESULTS: results_of(task.inputs)}))
            result = task.stage.run(replace(_context(task, session), identity=identity))
        else:
            record["same_as"] = twin["made_by"]
            ranks.from_first(lambda: copy_files(twin, session.run_dir, task.folder))
            result = Result(twin["metrics"], twin["provenance"])
        ranks.barrier()
        seconds = record["seconds"] + time.monotonic() - begun
        peak = peak_bytes(session.device)
        record = ranks.from_first(lambda: publish(task, record, result, seconds, peak))
    except BaseException as caught:
        error = as_interrupt(caught)
        session.reporter.interrupt()
        if first:
            note_failure(task, record, error, record["seconds"] + time.monotonic() - begun)
        explained = _explained(task, error, session)
        if explained is caught:
            raise
        raise explained from caught
    session.reporter.stop()
    if twin is not None:
        session.reporter.log(f"{task.id}: the same work as {twin['folder']}: copied")
    reasons = decision.reasons if decision else ()
    return Outcome(
        task.id, task.stage.name, "done", record["seconds"], record["metrics"], _artifact(task, record), reasons
    )


def _look_ahead(task: Task, decision: Decision | None, session: Session) -> None:
    """Find what is wrong with the inputs while an earlier result is still there."""
    ctx = _context(task, session)
    task.stage.ready(ctx)
    if decision is not None and decision.deletes:
        task.stage.inspect(ctx)


def _logs_resume(task: Task, decision: Decision) -> bool:
    """Return whether the stage itself logs where it resumes."""
    return task.stage.resumes and decision.keep and not decision.damages


def _twin_of(task: Task) -> dict[str, Any] | None:
    """Return the finished stage that is the same work, if there is one and it is whole."""
    return None if task.twin is None else read_twin(task.twin, identity_of(task.parts), results_of(task.inputs))


def _context(task: Task, session: Session) -> Context[Any]:
    return Context(
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


def _explained(task: Task, error: BaseException, session: Session) -> BaseException:
    """Return the error to raise for one that came out of a stage: it names the stage."""
    if isinstance(error, WsssError):
        return type(error)(f"Stage {task.id!r} failed: {error.message}", hint=error.hint)
    if isinstance(error, KeyboardInterrupt):
        return error if isinstance(error, Interrupted) else Interrupted()
    if not isinstance(error, Exception):
        return error
    session.reporter.note_in_file("".join(traceback.format_exception(error)))
    known = explained(error, task.folder)
    if known is not None:
        return RunFailed(f"Stage {task.id!r} failed: {known.message}", hint=known.hint)
    return RunFailed(
        f"Stage {task.id!r} failed: {type(error).__name__}: {error}",
        hint="Run again with --debug to see where; run.log has the full traceback.",
    )


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
        result=result_of(record),
    )
