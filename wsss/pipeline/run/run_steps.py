"""Executing a plan: prepare all stages, then run them one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from wsss.errors import WsssError
from wsss.io.files.contained import check_tree
from wsss.io.text.times import duration
from wsss.pipeline.plan.input_results import follow_inputs, results_of
from wsss.pipeline.plan.job import Job
from wsss.pipeline.plan.job_checks import prepare_jobs
from wsss.pipeline.plan.run_plan import make_plan
from wsss.pipeline.plan.step import Choice, Step
from wsss.pipeline.run.replacement_check import Replaced, check_replaced
from wsss.pipeline.run.run_record import RunRecord
from wsss.pipeline.run.runner import perform
from wsss.pipeline.run.task import Outcome, Session, Status, Task
from wsss.pipeline.stage import Artifact
from wsss.pipeline.store import stage_folder


@dataclass
class Execution:
    """One execution of a pipeline.

    Args:
        jobs: all jobs, in topological order.
        session, record: what the stages share, and ``run.json``.
        data: the dataset; on rank 0 opened by `prepare`.
        plan: job id → step; on rank 0 only.
    """

    jobs: Mapping[str, Job]
    session: Session
    record: RunRecord
    data: Any = None
    plan: dict[str, Step] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def prepare(self, open_data: Callable[[], Any], choice: Choice) -> dict[str, str]:
        """Plan the run and check everything that can be checked before a stage starts. Rank 0 only.

        Returns:
            Job id → ``run``, ``skip``, or ``leave`` for a job that is left out.
        """
        self.record.begin()
        self.data = open_data()
        steps = make_plan(self.jobs, self.session.run_dir, self.data, choice, ranks=self.session.ranks.size)
        self.plan = {step.job.id: step for step in steps}
        self.record.plan(steps)
        to_run = [step for step in steps if step.runs]
        for step in to_run:
            if not step.decision.record:
                stage_folder.check_stage_folder(step.folder)
        prepare_jobs([step.job for step in to_run], self.data)
        check_replaced(map(self._replaced, to_run), self.data, self.session.reporter.log)
        if to_run:
            self.session.resolve_device()
        return {step.job.id: _action(step) for step in steps}

    def run(self, actions: Mapping[str, str]) -> None:
        """Run the jobs; called by every rank.

        Raises:
            WsssError: a stage failed.
            Interrupted: a signal was received.
        """
        artifacts: dict[str, Artifact] = {}
        for job in self.jobs.values():
            if actions[job.id] == "leave" or any(need not in artifacts for need in job.needs):
                continue
            inputs = _inputs(job, artifacts)
            if self.session.ranks.from_first(partial(self._follow, job, inputs)) == "leave":
                continue
            outcome = self._perform(job, inputs)
            artifacts[job.id] = outcome.artifact
            self.outcomes.append(outcome)

    def _follow(self, job: Job, inputs: Mapping[str, Any]) -> str:
        """Update the decision for a job whose inputs are finished; return its action. Rank 0 only."""
        planned = self.plan[job.id]
        step = replace(planned, decision=follow_inputs(planned.decision, results_of(inputs)))
        if step.runs and step.decision is not planned.decision:
            check_tree(step.folder, root=self.session.run_dir)
            prepare_jobs([job], self.data)
            check_replaced([self._replaced(step)], self.data, self.session.reporter.log)
        self.plan[job.id] = step
        return _action(step)

    def _perform(self, job: Job, inputs: Mapping[str, Any]) -> Outcome:
        session, step = self.session, self.plan.get(job.id)
        folder = session.run_dir / job.id
        parts = step.parts if step else {}
        original = session.run_dir / step.duplicate_of if step and step.duplicate_of else None
        task = Task(job.id, job.stage, job.config, job.seed, inputs, self.data, folder, parts, original)
        if step and step.decision.action == "run":
            session.reporter.log_to_file(f"{job.id} begins")
        try:
            outcome = perform(task, step.decision if step else None, session, start=self._start)
        except BaseException as error:
            status: Status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            failed = Outcome(job.id, job.stage.name, status, _recorded_seconds(folder), {}, Artifact(folder))
            self.outcomes.append(failed)
            raise
        if outcome.status == "done":
            session.reporter.log(f"{job.id} done in {duration(outcome.seconds)}")
        return outcome

    def _start(self) -> None:
        """Record the run before the first stage changes its folder. Rank 0 only."""
        if not self.record.started:
            self.record.start()
            for step in self.plan.values():
                _mark_forced(step)

    def _replaced(self, step: Step) -> Replaced:
        """Return the result that a step replaces, and its finished inputs; others are computed first."""
        steps = [self.plan[id] for id in step.job.needs if id in self.plan]
        return Replaced(step.decision, step.parts, tuple(s.folder for s in steps if s.decision.action == "skip"))


def _inputs(job: Job, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return input → artifact, or a tuple of them, or ``None``."""
    inputs: dict[str, Any] = {}
    for name, ids in job.inputs.items():
        several = tuple(artifacts[id] for id in ids)
        inputs[name] = several if job.stage.inputs[name].many else next(iter(several), None)
    return inputs


def _action(step: Step) -> str:
    return "run" if step.runs else "skip" if step.decision.action == "skip" else "leave"


def _mark_forced(step: Step) -> None:
    """Mark a stage of ``--force`` in its record: it stays forced if this run, which has begun, ends before it."""
    if step.forced and step.decision.record:
        stage_folder.write_record(step.folder, {**step.decision.record, "status": "stale"})


def _recorded_seconds(folder: Path) -> float:
    with suppress(WsssError):
        return float((stage_folder.read_record(folder) or {}).get("seconds") or 0.0)
    return 0.0
