"""The plan of a run: which jobs of the pipeline run, and why. Planning changes nothing on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.io.files.contained import check_tree
from wsss.pipeline.plan.decide import Decision, decide
from wsss.pipeline.plan.deduplicate import find_duplicates
from wsss.pipeline.plan.identity import Contents, Fingerprints, identity_of, identity_parts, ranks_of
from wsss.pipeline.plan.input_results import follow_inputs
from wsss.pipeline.plan.job import Job, downstream, select, upstream
from wsss.pipeline.plan.job_checks import check_job, within_stages
from wsss.pipeline.plan.step import Choice, Step
from wsss.pipeline.problems import raise_all
from wsss.pipeline.stage import Data
from wsss.pipeline.store.stage_folder import read_record, result_of


def make_plan(
    jobs: Mapping[str, Job], run_dir: Path, data: Data | None, choice: Choice, *, ranks: int = 1
) -> list[Step]:
    """Decide for every job, in topological order, whether it runs.

    Args:
        jobs, run_dir, data: the pipeline, its run directory and its dataset.
        choice: ``--from``, ``--until`` and ``--force``.
        ranks: number of processes of the run.

    Raises:
        InvalidInput: the check of a stage failed, the dataset lacks a part that a stage reads, an id is unknown, or
            ``--from`` skips an unfinished stage. Lists the problems of all stages that are part of the run or needed
            by it.
    """
    selected, forced = _selection(jobs, choice)
    required = upstream(jobs, list(selected))
    planner = _Planner(run_dir, Fingerprints(data), Contents(), selected, forced, ranks)
    problems: list[tuple[Job, InvalidInput]] = []
    for job in jobs.values():
        try:
            if job.id in selected:
                check_job(job, jobs, planner.fingerprints)
            if all(need in planner.steps for need in job.needs):
                planner.steps[job.id] = planner.step(job)
        except InvalidInput as error:
            if job.id in required:
                problems.append((job, error))
            else:
                invalid = Decision("run", (str(error),))
                planner.steps[job.id] = Step(job, run_dir / job.id, {}, "", invalid, selected=False, forced=False)
    raise_all(within_stages(problems))
    plan = list(planner.steps.values())
    _check_start(plan, choice)
    duplicates = find_duplicates(plan)
    return [replace(step, duplicate_of=duplicates.get(step.job.id)) for step in plan]


class _Planner:
    """Creates the steps in order: the identity of a step depends on the steps before it."""

    def __init__(
        self,
        run_dir: Path,
        fingerprints: Fingerprints,
        contents: Contents,
        selected: set[str],
        forced: set[str],
        ranks: int,
    ) -> None:
        self.run_dir, self.fingerprints, self.contents = run_dir, fingerprints, contents
        self.selected, self.forced, self.ranks = selected, forced, ranks
        self.steps: dict[str, Step] = {}

    def step(self, job: Job) -> Step:
        """Return the step of a job; all jobs that it needs must have steps already."""
        selected, forced = job.id in self.selected, job.id in self.forced
        folder = self.run_dir / job.id
        ranks = self.ranks if selected else _recorded_ranks(folder)
        inputs = {name: self.of_input(job, name, "identity") for name in job.inputs}
        parts = identity_parts(job.stage, job.config, job.seed, inputs, self.fingerprints, self.contents, ranks)
        results = {name: self.of_input(job, name, "result") for name, ids in job.inputs.items() if ids}
        decision = follow_inputs(decide(folder, parts, force=forced, keeps=job.stage.keeps), results)
        if decision.action == "run" and selected:
            check_tree(folder, root=self.run_dir)
        result = result_of(decision.record) if decision.action == "skip" else None
        return Step(job, folder, parts, identity_of(parts), decision, selected, forced, result=result)

    def of_input(self, job: Job, name: str, field: str) -> Any:
        """Return a field of the step that provides an input, or id → field for an input with ``many``."""
        values = {id: getattr(self.steps[id], field) for id in sorted(job.inputs[name])}
        return values if job.stage.inputs[name].many else next(iter(values.values()), None)


def _recorded_ranks(folder: Path) -> int:
    """Return the recorded number of processes of a training stage that ``--from`` or ``--until`` leaves out."""
    record = read_record(folder) or {}
    return ranks_of(record.get("identity_parts") or {})


def _selection(jobs: Mapping[str, Job], choice: Choice) -> tuple[set[str], set[str]]:
    """Return the ids of the jobs in the run, and of the jobs that ``--force`` re-runs."""
    selected = set(jobs)
    if choice.start is not None:
        selected &= downstream(jobs, select(jobs, choice.start, choice.named("from")))
    if choice.until is not None:
        selected &= upstream(jobs, select(jobs, choice.until, choice.named("until")))
    if not selected:
        raise InvalidInput(
            f"nothing to do: {choice.until} does not depend on {choice.start}",
            subject=f"{choice.named('from', choice.start)} {choice.named('until', choice.until)}",
        )
    if choice.force is None:
        return selected, set()
    named = select(jobs, choice.force, choice.named("force"))
    left_out = [id for id in named if id not in selected]
    if left_out:
        raise InvalidInput(
            f"{choice.named('from')} and {choice.named('until')} exclude {listing(left_out)}",
            subject=choice.named("force", choice.force),
            hint="Choose a stage that is not excluded.",
        )
    return selected, downstream(jobs, named)


def _check_start(plan: Sequence[Step], choice: Choice) -> None:
    """Require that all stages that ``--from`` skips are finished."""
    steps = {step.job.id: step for step in plan}
    needed = upstream({id: step.job for id, step in steps.items()}, [id for id, step in steps.items() if step.selected])
    missing = [s for id, s in steps.items() if id in needed and not s.selected and s.decision.action == "run"]
    if missing:
        lines = [f"  {step.job.id}: {'; '.join(step.decision.reasons)}" for step in missing]
        raise InvalidInput(
            "\n".join(["these stages are not finished:", *lines]),
            subject=choice.named("from", choice.start),
            hint=f"Run without {choice.named('from')}, or start with {choice.named('from', missing[0].job.entry)}.",
        )
