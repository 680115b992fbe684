"""Running a whole pipeline in its run directory."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from wsss.errors import InvalidInput, WsssError
from wsss.io.files.contained import check_tree
from wsss.pipeline.config.spec import Spec
from wsss.pipeline.plan.graph import Job, build_jobs
from wsss.pipeline.plan.input_results import follow_inputs, results_of
from wsss.pipeline.plan.run_plan import Choice, Step, make_plan, prepare_jobs
from wsss.pipeline.processes.interrupt import as_interrupt
from wsss.pipeline.run.progress import duration
from wsss.pipeline.run.replaced import Replaced, check_replaced
from wsss.pipeline.run.runner import perform
from wsss.pipeline.run.task import Outcome, Session, Task
from wsss.pipeline.stage import Artifact, Stage
from wsss.pipeline.store import run_folder, stage_folder
from wsss.pipeline.store.lock import leave_nothing, run_lock
from wsss.pipeline.store.run_record import Journal
from wsss.validation import KeyPath


class OpenData(Protocol):
    """Opens the dataset that ``data:`` describes; the engine knows no more of datasets than this."""

    def __call__(
        self,
        config: Mapping[str, Any],
        *,
        work: Path,
        log: Callable[[str], None],
        locate: Callable[[KeyPath], str],
    ) -> Any:
        """Return the dataset; may write generated data and remembered hashes below ``work``."""


class CheckData(Protocol):
    """Checks the config of a dataset without opening it."""

    def __call__(self, config: Mapping[str, Any], *, locate: Callable[[KeyPath], str]) -> Any:
        """Raise `InvalidInput` if ``data:`` is wrong."""


@dataclass
class RunResult:
    """What became of a run.

    Args:
        run_dir: its folder.
        status: ``done``, ``failed`` or ``interrupted``.
        outcomes: the stages that were reached, in order.
        error: what ended it, to be raised by who called.
        report: page of its report, if it has one.
    """

    run_dir: Path
    status: Literal["done", "failed", "interrupted"] = "done"
    outcomes: list[Outcome] = field(default_factory=list)
    error: BaseException | None = None
    report: Path | None = None


def dry_run(
    spec: Spec,
    registry: Mapping[str, Stage[Any]],
    *,
    run_dir: Path,
    open_data: OpenData,
    choice: Choice,
    check_data: CheckData | None = None,
    ranks: int = 1,
) -> list[Step]:
    """Return the plan of ``ranks`` processes without changing anything in ``run_dir``.

    Raises:
        InvalidInput: whatever is wrong with the pipeline, the dataset or the folder.
    """
    jobs = _jobs(spec, registry, check_data)
    run_folder.check_run_dir(run_dir, spec.name)
    with _scratch(run_dir / run_folder.DATA) as work:
        return make_plan(jobs, run_dir, _open(spec, open_data, work, lambda line: None), choice, ranks=ranks)


def run_pipeline(
    spec: Spec,
    registry: Mapping[str, Stage[Any]],
    *,
    session: Session,
    open_data: OpenData,
    choice: Choice | None = None,
    check_data: CheckData | None = None,
    command: Sequence[str] = (),
) -> RunResult:
    """Run a pipeline in ``session.run_dir``.

    Everything that can be known to be wrong beforehand is found before the first stage starts.

    Args:
        spec, registry: what to run.
        session: run directory, device, workers, messages, ranks.
        open_data: opens the dataset.
        choice: ``--from``, ``--until``, ``--force``.
        check_data: checks ``data:`` beforehand, so that what is wrong there is told together with the rest.
        command: the command line, for ``run.json``.

    Returns:
        The result; a failure or an interrupt is in its ``error``.

    Raises:
        InvalidInput: the pipeline is wrong, or the folder someone else's.
        RunFailed: the folder can't be written to, or another process works in it.
    """
    jobs = _jobs(spec, registry, check_data)
    ranks, run_dir = session.ranks, session.run_dir

    def claim() -> None:
        run_folder.check_run_dir(run_dir, spec.name)
        run_folder.make_run_dir(run_dir)

    ranks.from_first(claim)
    session.reporter.file = run_dir / run_folder.LOG
    with _lock(run_dir, session):
        result = RunResult(run_dir)
        journal = Journal(spec, jobs, session, command)
        try:
            _run(spec, jobs, session, open_data, choice or Choice(), journal, result)
        except (KeyboardInterrupt, Exception) as caught:
            result.error = as_interrupt(caught)
            result.status = "interrupted" if isinstance(result.error, KeyboardInterrupt) else "failed"
            if not isinstance(result.error, WsssError | KeyboardInterrupt):
                session.reporter.note_in_file("".join(traceback.format_exception(caught)))
        if result.error is not None:
            session.reporter.note_in_file(f"{result.status}: {result.error}")
        result.report = _report(jobs, result)
        failed = next((outcome.id for outcome in result.outcomes if outcome.status == "failed"), None)
        journal.end(result.status, result.report, result.error, failed)
        if result.error is None:  # after an error the other ranks may be gone
            ranks.barrier()
    return result


def _jobs(spec: Spec, registry: Mapping[str, Stage[Any]], check_data: CheckData | None) -> dict[str, Job]:
    """Return the jobs; what is wrong with ``data:`` and with the stages is told at once."""
    problems: list[InvalidInput] = []
    jobs: dict[str, Job] = {}
    try:
        if check_data is not None and spec.data:
            check_data(spec.data, locate=spec.data_source.locate)
    except InvalidInput as error:
        problems.append(error)
    try:
        jobs = build_jobs(spec, registry)
    except InvalidInput as error:
        problems.append(error)
    if problems:
        hints = list(dict.fromkeys(error.hint for error in problems if error.hint))
        raise InvalidInput("\n".join(error.message for error in problems), hint="\n".join(hints) or None)
    return jobs


def _report(jobs: Mapping[str, Job], result: RunResult) -> Path | None:
    """Return the page of the first finished report."""
    for outcome in result.outcomes:
        page = outcome.artifact.path / "index.html"
        if outcome.status in ("done", "skipped") and jobs[outcome.id].stage.provides == "report" and page.is_file():
            return page
    return None


def _run(
    spec: Spec,
    jobs: Mapping[str, Job],
    session: Session,
    open_data: OpenData,
    choice: Choice,
    journal: Journal,
    result: RunResult,
) -> None:
    ranks, run_dir = session.ranks, session.run_dir
    data: Any = None
    plan: dict[str, Step] = {}

    def prepare() -> dict[str, str]:
        nonlocal data, plan
        journal.begin()
        data = _open(spec, open_data, run_dir / run_folder.DATA, session.reporter.log)
        plan = {step.job.id: step for step in make_plan(jobs, run_dir, data, choice, ranks=ranks.size)}
        for step in plan.values():
            if step.runs and not step.decision.record:
                stage_folder.check_ours(step.folder)
        prepare_jobs([step.job for step in plan.values() if step.runs], data)
        check_replaced([_replaced(step, plan) for step in plan.values() if step.runs], data, session.reporter.log)
        if any(step.runs for step in plan.values()):
            session.settle_device()
            journal.note("running")
        for step in plan.values():
            _mark_forced(step)
        return {step.job.id: _action(step) for step in plan.values()}

    actions: dict[str, str] = ranks.from_first(prepare)
    if ranks.rank != 0:
        data = _open(spec, open_data, run_dir / run_folder.DATA, lambda line: None)
    artifacts: dict[str, Artifact] = {}
    for job in jobs.values():
        if actions[job.id] == "leave" or any(need not in artifacts for need in job.needs):
            continue
        inputs = _inputs(job, artifacts)
        if ranks.from_first(partial(_follow, plan, job.id, inputs, data, session)) == "leave":
            continue
        outcome = _one(job, plan.get(job.id), inputs, data, session, result)
        artifacts[job.id] = outcome.artifact
        result.outcomes.append(outcome)


def _inputs(job: Job, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return input → artifact, or a tuple of them, or ``None``."""
    inputs: dict[str, Any] = {}
    for name, ids in job.inputs.items():
        found = tuple(artifacts[id] for id in ids)
        inputs[name] = found if job.stage.inputs[name].many else (found[0] if found else None)
    return inputs


def _follow(plan: dict[str, Step], id: str, inputs: Mapping[str, Any], data: Any, session: Session) -> str:
    """Look again at a planned stage, now that its inputs are finished; return its action. Rank 0 only."""
    planned = plan[id]
    step = replace(planned, decision=follow_inputs(planned.decision, results_of(inputs)))
    if step.runs and step.decision is not planned.decision:
        check_tree(step.folder, root=session.run_dir)
        prepare_jobs([step.job], data)
        check_replaced([_replaced(step, plan)], data, session.reporter.log)
    plan[id] = step
    return _action(step)


def _one(
    job: Job, step: Step | None, inputs: Mapping[str, Any], data: Any, session: Session, result: RunResult
) -> Outcome:
    folder = session.run_dir / job.id
    twin = session.run_dir / step.twin if step and step.twin else None
    task = Task(job.id, job.stage, job.config, job.seed, inputs, data, folder, step.parts if step else {}, twin)
    decision = step.decision if step else None
    if decision and decision.action == "run":
        session.reporter.note_in_file(f"{job.id} begins")
    try:
        outcome = perform(task, decision, session)
    except BaseException as error:
        status: Literal["failed", "interrupted"] = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        result.outcomes.append(Outcome(job.id, job.stage.name, status, _seconds(folder), {}, Artifact(folder)))
        raise
    if outcome.status == "done":
        session.reporter.log(f"{job.id} done in {duration(outcome.seconds)}")
    return outcome


def _replaced(step: Step, plan: Mapping[str, Step]) -> Replaced:
    """Return what a step replaces; of its inputs those that are finished, since others are made first."""
    finished = [plan[id].folder for id in step.job.needs if id in plan and plan[id].decision.action == "skip"]
    return Replaced(step.decision, step.parts, tuple(finished))


def _action(step: Step) -> str:
    if step.runs:
        return "run"
    return "skip" if step.decision.action == "skip" else "leave"


def _mark_forced(step: Step) -> None:
    """Mark what ``--force`` wants anew, so that it stays wanted if this run ends before it gets there."""
    if step.forced and step.decision.record:
        stage_folder.write_record(step.folder, {**step.decision.record, "status": "stale"})


def _open(spec: Spec, open_data: OpenData, work: Path, log: Callable[[str], None]) -> Any:
    if not spec.data:
        return None
    return open_data(spec.data, work=work, log=log, locate=spec.data_source.locate)


@contextmanager
def _lock(folder: Path, session: Session) -> Iterator[None]:
    """Hold the lock on rank 0."""
    if session.ranks.rank != 0:
        yield
        return
    with run_lock(folder, session.reporter.log):
        yield


@contextmanager
def locked_for(out: Path, session: Session) -> Iterator[Path]:
    """Hold the lock that guards a single stage's folder; give the folder for generated data.

    Inside a run directory both are the run's, so that a stage can't be worked on while its pipeline runs. A folder that
    was made for this and in which nothing came about is taken away again.

    Raises:
        InvalidInput: ``out`` is someone else's folder.
        RunFailed: it can't be written to, or another process holds it.
    """
    inside_run = run_folder.read_run(out.parent) is not None
    guarded, first, new = out.parent if inside_run else out, session.ranks.rank == 0, not out.exists()
    if first:
        stage_folder.check_ours(out)
        run_folder.make_run_dir(guarded)
    with _lock(guarded, session):
        try:
            if first and inside_run:
                run_folder.make_run_dir(out)
            yield out.parent / run_folder.DATA if inside_run else out / stage_folder.WORK
        finally:
            if new and first:
                leave_nothing(out)


@contextmanager
def _scratch(data: Path) -> Iterator[Path]:
    """A temporary copy of the dataset's working folder: generated data may be drawn again there, without a trace."""
    with tempfile.TemporaryDirectory(prefix="wsss-dry-run-") as name:
        work = Path(name) / run_folder.DATA
        if data.is_dir():
            shutil.copytree(data, work, symlinks=True)
        yield work


def _seconds(folder: Path) -> float:
    with suppress(WsssError):
        return float((stage_folder.read_record(folder) or {}).get("seconds") or 0.0)
    return 0.0
