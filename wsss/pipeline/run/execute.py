"""Running a pipeline in its run directory."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from wsss.errors import InvalidInput, WsssError
from wsss.io.files.stage_files import PAGE
from wsss.model_fields import KeyPath
from wsss.pipeline.config.spec import Spec
from wsss.pipeline.plan.graph import build_jobs
from wsss.pipeline.plan.job import Job
from wsss.pipeline.plan.run_plan import make_plan
from wsss.pipeline.plan.step import Choice, Step
from wsss.pipeline.problems import raise_all
from wsss.pipeline.processes.interrupt import as_interrupt
from wsss.pipeline.processes.worker_processes import kept_processes
from wsss.pipeline.run.guard import lock_on_first, scratch_copy
from wsss.pipeline.run.run_record import RunRecord
from wsss.pipeline.run.run_steps import Execution
from wsss.pipeline.run.task import Outcome, Session
from wsss.pipeline.stage import Registry
from wsss.pipeline.store import run_folder


class OpenData(Protocol):
    """Opens the dataset that ``data:`` describes."""

    def __call__(
        self, config: Mapping[str, Any], *, work: Path, log: Callable[[str], None], locate: Callable[[KeyPath], str]
    ) -> Any:
        """Return the dataset; may write generated data and cached hashes below ``work``."""


class CheckData(Protocol):
    """Validates the config of a dataset without opening it."""

    def __call__(self, config: Mapping[str, Any], *, locate: Callable[[KeyPath], str]) -> Any:
        """Raise `InvalidInput` if ``data:`` is invalid."""


@dataclass
class RunResult:
    """The result of a run.

    Args:
        status: ``done``, ``failed`` or ``interrupted``.
        error: the error that ended it, to be raised by the caller.
        report: page of its report, if it has one.
    """

    run_dir: Path
    status: Literal["done", "failed", "interrupted"] = "done"
    outcomes: list[Outcome] = field(default_factory=list)
    error: BaseException | None = None
    report: Path | None = None


def dry_run(
    spec: Spec,
    registry: Registry,
    *,
    run_dir: Path,
    open_data: OpenData,
    choice: Choice,
    check_data: CheckData | None = None,
    ranks: int = 1,
) -> list[Step]:
    """Return the plan for ``ranks`` processes; nothing in ``run_dir`` is changed.

    Raises:
        InvalidInput: the pipeline, the dataset or the folder is invalid.
    """
    jobs = _jobs(spec, registry, check_data)
    run_folder.check_run_dir(run_dir, spec.name)
    with scratch_copy(run_dir / run_folder.DATA) as work, paused_collection():
        return make_plan(jobs, run_dir, _open(spec, open_data, work, lambda line: None), choice, ranks=ranks)


def run_pipeline(
    spec: Spec,
    registry: Registry,
    *,
    session: Session,
    open_data: OpenData,
    choice: Choice | None = None,
    check_data: CheckData | None = None,
    command: Sequence[str] = (),
) -> RunResult:
    """Run a pipeline in ``session.run_dir``.

    Args:
        session: run directory, device, workers, messages, ranks.
        choice: ``--from``, ``--until``, ``--force``.
        check_data: validates ``data:`` first, so that its problems are listed together with those of the stages.
        command: the command line, for ``run.json``.

    Returns:
        The result; a failure or an interrupt is in its ``error``.

    Raises:
        InvalidInput: the pipeline is invalid, or the folder contains other files.
        RunFailed: the folder is not writable, or another process works in it.
    """
    jobs = _jobs(spec, registry, check_data)
    ranks, run_dir, reporter = session.ranks, session.run_dir, session.reporter

    def claim() -> None:
        run_folder.check_run_dir(run_dir, spec.name)
        run_folder.make_run_dir(run_dir)

    ranks.from_first(claim)
    reporter.file = run_dir / run_folder.LOG
    with lock_on_first(run_dir, session):
        result = RunResult(run_dir)
        record = RunRecord(spec, jobs, session, command)
        execution = Execution(jobs, session, record, outcomes=result.outcomes)
        try:
            with kept_processes():
                _execute(execution, spec, open_data, choice or Choice())
        except (KeyboardInterrupt, Exception) as caught:
            result.error = as_interrupt(caught)
            result.status = "interrupted" if isinstance(result.error, KeyboardInterrupt) else "failed"
            if not isinstance(result.error, WsssError | KeyboardInterrupt):
                reporter.log_to_file("".join(traceback.format_exception(caught)))
            reporter.log_to_file(f"{result.status}: {result.error}")
        result.report = _report(jobs, result)
        failed = next((outcome.id for outcome in result.outcomes if outcome.status == "failed"), None)
        record.end(result.status, result.report, result.error, failed)
        if result.error is None:  # after an error the other ranks may have ended
            ranks.barrier()
    return result


def _execute(execution: Execution, spec: Spec, open_data: OpenData, choice: Choice) -> None:
    session = execution.session
    work = session.run_dir / run_folder.DATA
    with paused_collection():
        actions = session.ranks.from_first(
            lambda: execution.prepare(lambda: _open(spec, open_data, work, session.reporter.log), choice)
        )
        if session.ranks.rank != 0:
            execution.data = _open(spec, open_data, work, lambda line: None)
    execution.run(actions)


def _jobs(spec: Spec, registry: Registry, check_data: CheckData | None) -> dict[str, Job]:
    """Return the jobs; raise the problems of ``data:`` and of the stages together."""
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
    raise_all(problems)
    return jobs


def _report(jobs: Mapping[str, Job], result: RunResult) -> Path | None:
    """Return the page of the first finished report."""
    for outcome in result.outcomes:
        page = outcome.artifact.path / PAGE
        if outcome.status in ("done", "skipped") and jobs[outcome.id].stage.provides == "report" and page.is_file():
            return page
    return None


def _open(spec: Spec, open_data: OpenData, work: Path, log: Callable[[str], None]) -> Any:
    return open_data(spec.data, work=work, log=log, locate=spec.data_source.locate) if spec.data else None


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the garbage collector, which would repeatedly scan the records of 100,000 images, all still in use."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()
