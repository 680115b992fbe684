"""Running one stage, the same way for pipelines, single-stage commands and tests."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, RunFailed, WsssError, listing
from wsss.io.files.contained import check_tree
from wsss.io.process.shared_state import batches_of
from wsss.pipeline.plan.decide import Decision, decide
from wsss.pipeline.plan.deduplicate import copy_files, read_original
from wsss.pipeline.plan.external_inputs import artifacts_in, check_distinct, identity_of_input, ids_of
from wsss.pipeline.plan.identity import Contents, Fingerprints, config_parts, identity_of, identity_parts
from wsss.pipeline.plan.input_results import follow_inputs, results_of
from wsss.pipeline.processes.interrupt import Interrupted, as_interrupt
from wsss.pipeline.processes.memory import peak_bytes, reset_peak
from wsss.pipeline.processes.worker_processes import kept_processes
from wsss.pipeline.run.error_hints import machine_error
from wsss.pipeline.run.machine import Precision, precision_of, same_threads
from wsss.pipeline.run.replacement_check import Replaced, check_replaced
from wsss.pipeline.run.stage_record import begin_record, publish, record_failure, restore_metrics
from wsss.pipeline.run.task import Outcome, Session, Status, Task
from wsss.pipeline.stage import Artifact, Context, Result, Stage, StageConfig
from wsss.pipeline.store import stage_folder
from wsss.pipeline.store.stage_folder import INPUT_RESULTS


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
    """Run a single stage in the folder ``out``; skip a finished one, resume an interrupted one.

    Args:
        out: its folder: new, empty, or that of an earlier run of the stage.
        inputs: declared input → `Artifact` (see `artifact_at`), several for ``many``, ``None`` for a missing one.
        force: run from scratch.
        session: device, workers and so on (default: CPU, one worker, messages on stderr).

    Raises:
        InvalidInput: the stage's check failed, a required input is missing, or ``out`` contains other files.
        RunFailed: the stage failed.
    """
    session = session or Session(run_dir=out.parent)
    bound = _bound_inputs(stage, inputs or {})
    decision: Decision | None = None

    def prepare() -> dict[str, Any]:
        nonlocal decision
        fingerprints, contents = Fingerprints(data), Contents()
        identities = {name: identity_of_input(artifact, contents) for name, artifact in bound.items()}
        parts = identity_parts(stage, config, seed, identities, fingerprints, contents, session.ranks.size)
        stage.check(config, data)
        stage.check_inputs(config, {name: ids_of(artifact) for name, artifact in bound.items()})
        stage_folder.check_stage_folder(out, stage.name)
        decision = follow_inputs(decide(out, parts, force=force, keeps=stage.keeps), results_of(bound))
        if decision.action == "run":
            check_tree(out)
            stage.prepare(config, data)
            folders = tuple(artifact.path for artifact in artifacts_in(bound))
            check_replaced([Replaced(decision, parts, folders)], data, session.reporter.log)
        return parts

    parts = session.ranks.from_first(prepare)
    with kept_processes():
        return perform(Task(out.name, stage, config, seed, bound, data, out, parts), decision, session)


def _bound_inputs(
    stage: Stage[Any], inputs: Mapping[str, Artifact | tuple[Artifact, ...] | None]
) -> dict[str, Artifact | tuple[Artifact, ...] | None]:
    """Return the inputs of all declared names; refuse missing ones, and ambiguous ids."""
    bound = dict(inputs)
    for name, declared in stage.inputs.items():
        if not bound.get(name) and not declared.optional:
            kinds = " or ".join(declared.kinds)
            raise InvalidInput(f"the input {name!r} is required", subject=stage.name, allowed=kinds)
        bound.setdefault(name, () if declared.many else None)
        if declared.many:
            check_distinct(name, bound[name])
    return bound


def perform(
    task: Task, decision: Decision | None, session: Session, start: Callable[[], None] = lambda: None
) -> Outcome:
    """Run or skip one stage as decided.

    Args:
        task, session: the stage; called by every process.
        decision: known to rank 0 only.
        start: called on rank 0 before the folder of a stage that runs is changed, after all its checks.

    Raises:
        RunFailed, InvalidInput: the stage failed; the subject names it.
        Interrupted: a signal was received; the status in the record is interrupted.
    """
    ranks = session.ranks
    if ranks.from_first(lambda: decision is not None and decision.action == "skip"):
        record = ranks.from_first(lambda: restore_metrics(task, decision, session))
        return _outcome(task, record, "skipped", ("finished",))
    session.resolve_device()
    with same_threads(task, decision, session), batches_of(getattr(task.config, "batch_size", None)):
        return _work(task, decision, session, start)


def _work(task: Task, decision: Decision | None, session: Session, start: Callable[[], None]) -> Outcome:
    """Run the function of a stage and write its record."""
    ranks, reporter = session.ranks, session.reporter
    try:
        ranks.from_first(lambda: _check_inputs(task, decision, session))
    except Exception as error:
        raise _within_stage(task, error, session) from error
    if decision is not None and decision.reasons != ("never ran",) and not _logs_resume(task, decision):
        reporter.log(f"{task.id} runs again: {'; '.join(decision.reasons)}")
    ranks.from_first(start)
    begin = time.monotonic()
    precision = precision_of(task, decision, session)
    used = precision.used if precision else None
    record: dict[str, Any] = ranks.from_first(lambda: begin_record(task, decision, session, precision=used))
    if ranks.rank == 0:
        session.on_start()
    reporter.start(task.id, task.folder)
    try:
        ranks.barrier()
        reset_peak(session.device)
        result, copied = _compute_or_copy(task, session, precision)
        if copied is not None:
            record["same_as"] = copied["made_by"]
        ranks.barrier()
        seconds = record["seconds"] + time.monotonic() - begin
        peak = peak_bytes(session.device)
        record = ranks.from_first(lambda: publish(task, record, result, seconds, peak))
    except BaseException as caught:
        failure = as_interrupt(caught)
        reporter.interrupt()
        if ranks.rank == 0:
            record_failure(task, record, failure, record["seconds"] + time.monotonic() - begin)
        shown = _within_stage(task, failure, session)
        if shown is caught:
            raise
        raise shown from caught
    reporter.stop()
    if copied is not None:
        reporter.log(f"{task.id}: duplicate of {copied['folder']}: copied")
    return _outcome(task, record, "done", decision.reasons if decision else ())


def _require_unchanged(task: Task) -> None:
    """Require that the files of the config have not changed since planning: earlier stages may take hours.

    Raises:
        InvalidInput: the content of a file or folder has changed since.
    """
    planned, now = task.parts["config"], config_parts(task.config, Contents())
    changed = [key for key in planned if planned[key] != now.get(key)]
    if changed:
        problem = f"the content of {listing(changed)} changed after the run started"
        raise InvalidInput(problem, subject=task.id, hint="Run the same command again.")


def _check_inputs(task: Task, decision: Decision | None, session: Session) -> None:
    """Run the stage's checks of finished inputs, before an earlier result is deleted."""
    _require_unchanged(task)
    ctx = _context(task, session)
    task.stage.ready(ctx)
    if decision is not None and decision.deletes:
        task.stage.inspect(ctx)


def _logs_resume(task: Task, decision: Decision) -> bool:
    """Return whether the stage itself logs where it resumes."""
    return task.stage.resumes and decision.keep and not decision.damages


def _compute_or_copy(task: Task, session: Session, precision: Precision | None) -> tuple[Result, dict[str, Any] | None]:
    """Return the result of a stage, and the original if it is copied from a finished stage of the same identity."""
    ranks = session.ranks
    original: dict[str, Any] | None = ranks.from_first(lambda: _original_of(task))
    if original is None:
        identity = ranks.from_first(lambda: identity_of({**task.parts, INPUT_RESULTS: results_of(task.inputs)}))
        if precision is not None and precision.note and ranks.rank == 0:
            session.reporter.log(precision.note)
        used = precision.used if precision else None
        return task.stage.run(replace(_context(task, session), identity=identity, precision=used)), None
    ranks.from_first(partial(copy_files, original, session.run_dir, task.folder))
    return Result(original["metrics"], original["provenance"]), original


def _original_of(task: Task) -> dict[str, Any] | None:
    """Return the finished stage that this one duplicates, if it is intact."""
    if task.duplicate_of is None:
        return None
    return read_original(task.duplicate_of, identity_of(task.parts), results_of(task.inputs))


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


def _within_stage(task: Task, error: BaseException, session: Session) -> BaseException:
    """Return the error to raise for one from a stage: its outer subject is the stage."""
    if isinstance(error, KeyboardInterrupt):
        return error if isinstance(error, Interrupted) else Interrupted()
    if not isinstance(error, Exception):
        return error
    if not isinstance(error, WsssError):
        session.reporter.log_to_file("".join(traceback.format_exception(error)))
        logged = "" if session.reporter.file is None else "; run.log has the full traceback"
        hint = f"Run again with --debug to see the traceback{logged}."
        error = machine_error(error, task.folder) or RunFailed(f"{type(error).__name__}: {error}", hint=hint)
    return error.within(f"Stage {task.id!r} failed")


def _outcome(task: Task, record: Mapping[str, Any], status: Status, reasons: tuple[str, ...]) -> Outcome:
    metrics = record.get("metrics") or {}
    artifact = Artifact(
        task.folder,
        id=task.id,
        uses=task.stage.name,
        identity=record["identity"],
        config=record["config"],
        metrics=metrics,
        provenance=record["provenance"],
        result=stage_folder.result_of(record),
    )
    return Outcome(task.id, task.stage.name, status, float(record.get("seconds") or 0.0), metrics, artifact, reasons)
