"""The plan: for each job of a pipeline, whether it runs, and why. Making it changes nothing on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.io.files.contained import check_tree
from wsss.pipeline.plan.decide import Decision, decide
from wsss.pipeline.plan.deduplicate import find_twins
from wsss.pipeline.plan.graph import Job, downstream, select, upstream
from wsss.pipeline.plan.identity import Contents, Fingerprints, identity_of, identity_parts, ranks_of
from wsss.pipeline.plan.input_results import follow_inputs, result_of
from wsss.pipeline.stage import Data
from wsss.pipeline.store.stage_folder import read_record


@dataclass(frozen=True)
class Step:
    """One job and what is to be done with it.

    Args:
        job: see `Job`.
        folder: where its artifacts are.
        parts, identity: what its result depends on.
        decision: see `Decision`.
        selected: it is part of what this run does (``--from``, ``--until``).
        forced: ``--force`` names it or something it depends on.
        twin: another step that does the same work, whose result is copied; see `wsss.pipeline.plan.deduplicate`.
        result: hash of its files, if it is finished; see `wsss.pipeline.plan.input_results`.
    """

    job: Job
    folder: Path
    parts: Mapping[str, Any]
    identity: str
    decision: Decision
    selected: bool
    forced: bool
    twin: str | None = None
    result: str | None = None

    @property
    def runs(self) -> bool:
        """Whether it will run."""
        return self.selected and self.decision.action == "run"


@dataclass(frozen=True)
class Choice:
    """``--from``, ``--until`` and ``--force``: ids of stages or of single instances."""

    start: str | None = None
    until: str | None = None
    force: str | None = None


def make_plan(
    jobs: Mapping[str, Job],
    run_dir: Path,
    data: Data | None,
    choice: Choice,
    *,
    contents: Contents | None = None,
    ranks: int = 1,
) -> list[Step]:
    """Decide for every job, each after those it needs.

    Args:
        jobs, run_dir, data, choice: what is to be planned.
        contents: hashes that are known already.
        ranks: number of processes that work together.

    Raises:
        InvalidInput: a stage's own check failed, the dataset lacks something it reads, an id that doesn't exist, or
            ``--from`` skips something that isn't finished. Problems of all stages come together; those of stages that
            are left out and that no other needs don't count.
    """
    selected, forced = _selection(jobs, choice)
    fingerprints, contents = Fingerprints(data), contents or Contents()
    known = upstream(jobs, list(selected))  # what the selected ones depend on has to be known; of the rest, what can be
    steps: dict[str, Step] = {}
    problems: list[InvalidInput] = []
    for job in jobs.values():
        try:
            if job.id in selected:
                check_job(job, fingerprints)
                _check_covered(job, jobs, data)
                _check_settings(job, jobs)
            if all(need in steps for need in job.needs):
                steps[job.id] = _step(job, run_dir, steps, fingerprints, contents, selected, forced, ranks)
        except InvalidInput as error:
            if job.id not in known:
                steps[job.id] = Step(job, run_dir / job.id, {}, "", Decision("run", (str(error),)), False, False)
                continue
            problems.append(_naming(job, error))
    _raise_together(problems)
    plan = list(steps.values())
    _check_start(plan, choice)
    twins = find_twins(plan)
    return [replace(step, twin=twins.get(step.job.id)) for step in plan]


def check_job(job: Job, fingerprints: Fingerprints) -> None:
    """Run a stage's own check, once the dataset is known to have what the stage reads.

    Raises:
        InvalidInput: the stage can't work on this dataset.
    """
    fingerprints.of_all(job.stage.reads(job.config))
    job.stage.check(job.config, fingerprints.data)
    job.stage.check_inputs(job.config, job.inputs)


def _check_covered(job: Job, jobs: Mapping[str, Job], data: Data | None) -> None:
    """Refuse a stage whose inputs will lack images that it needs; splits may overlap, so samples are compared."""
    if data is None:
        return
    for maker in (jobs[need] for need in job.needs):
        covered = maker.stage.covers(maker.config)
        if covered is None or not all(split in data.splits for split in covered):
            continue  # not known, or told by the maker's own check
        there = {sample for split in covered for sample in data.splits[split]}
        lacking = [s for s in job.stage.needs_splits(job.config) if not there.issuperset(data.splits.get(s, ()))]
        if lacking:
            raise InvalidInput(
                f"it needs the images of {listing(lacking)}, and {maker.id!r} works on {listing(covered)} only.",
                hint=f"Add {listing(lacking)} to the splits of {maker.id!r} (and of what it needs), or change those of "
                f"{job.id!r}.",
            )


def _check_settings(job: Job, jobs: Mapping[str, Job]) -> None:
    """Refuse a stage whose inputs will lack what another setting of theirs would have made."""
    for name, settings in job.stage.needs_settings(job.config).items():
        for maker in (jobs[id] for id in job.inputs.get(name, ()) if id in jobs):
            for key, wanted in settings.items():
                if getattr(maker.config, key, None) != wanted:
                    shown = json.dumps(wanted)
                    raise InvalidInput(
                        f"it needs {maker.id!r}, its input {name}, to have {key}: {shown}.",
                        hint=f"Set {key}: {shown} in {maker.id!r}, or take a stage that has it.",
                    )


def prepare_jobs(jobs: Iterable[Job], data: Data | None) -> None:
    """Run the `prepare` of the jobs that will run, before any of them starts.

    Raises:
        InvalidInput: some can't do their work; problems of all come together.
    """
    problems: list[InvalidInput] = []
    for job in jobs:
        try:
            job.stage.prepare(job.config, data)
        except InvalidInput as error:
            problems.append(_naming(job, error))
    _raise_together(problems)


def _naming(job: Job, error: InvalidInput) -> InvalidInput:
    return InvalidInput(f"Stage {job.id!r}: {error.message}", hint=error.hint)


def _raise_together(problems: Sequence[InvalidInput]) -> None:
    if problems:
        hints = list(dict.fromkeys(error.hint for error in problems if error.hint))
        raise InvalidInput("\n".join(error.message for error in problems), hint="\n".join(hints) or None)


def _step(
    job: Job,
    run_dir: Path,
    steps: Mapping[str, Step],
    fingerprints: Fingerprints,
    contents: Contents,
    selected: set[str],
    forced: set[str],
    ranks: int,
) -> Step:
    inputs: dict[str, Any] = {}
    for name, ids in job.inputs.items():
        identities = {id: steps[id].identity for id in sorted(ids)}
        inputs[name] = identities if job.stage.inputs[name].many else next(iter(identities.values()), None)
    folder = run_dir / job.id
    if job.id not in selected:
        ranks = _recorded_ranks(folder)
    parts = identity_parts(job.stage, job.config, job.seed, inputs, fingerprints, contents, ranks)
    results = {name: _results(job, name, steps) for name, ids in job.inputs.items() if ids}
    decision = follow_inputs(decide(folder, parts, force=job.id in forced, keeps=job.stage.keeps), results)
    if decision.action == "run" and job.id in selected:
        check_tree(folder, root=run_dir)
    result = result_of(decision.record) if decision.action == "skip" else None
    return Step(job, folder, parts, identity_of(parts), decision, job.id in selected, job.id in forced, result=result)


def _results(job: Job, name: str, steps: Mapping[str, Step]) -> str | dict[str, str | None] | None:
    """Return the hashes of an input's files; those of a stage that will run are not known yet."""
    found = {id: steps[id].result for id in job.inputs[name]}
    return found if job.stage.inputs[name].many else next(iter(found.values()))


def _recorded_ranks(folder: Path) -> int:
    """Return the number of processes of a training that ``--from`` or ``--until`` leaves out: it stays what it is."""
    record = read_record(folder) or {}
    return ranks_of(record.get("identity_parts") or {})


def _selection(jobs: Mapping[str, Job], choice: Choice) -> tuple[set[str], set[str]]:
    selected = set(jobs)
    if choice.start is not None:
        selected &= downstream(jobs, select(jobs, choice.start, "--from"))
    if choice.until is not None:
        selected &= upstream(jobs, select(jobs, choice.until, "--until"))
    if not selected:
        raise InvalidInput(
            f"--from {choice.start} --until {choice.until} leaves nothing to do: {choice.until} does not depend on "
            f"{choice.start}."
        )
    forced: set[str] = set()
    if choice.force is not None:
        named = select(jobs, choice.force, "--force")
        left_out = [id for id in named if id not in selected]
        if left_out:
            raise InvalidInput(
                f"--force {choice.force}: --from and --until leave out {listing(left_out)}; force a stage in between."
            )
        forced = downstream(jobs, named)
    return selected, forced


def _check_start(plan: Sequence[Step], choice: Choice) -> None:
    """Refuse to start in the middle when what comes before isn't finished."""
    by_id = {step.job.id: step for step in plan}
    needed = upstream({step.job.id: step.job for step in plan}, [step.job.id for step in plan if step.selected])
    missing = [id for id in by_id if id in needed and not by_id[id].selected and by_id[id].decision.action == "run"]
    if missing:
        lines = [f"  {id}: {'; '.join(by_id[id].decision.reasons)}" for id in missing]
        raise InvalidInput(
            f"--from {choice.start} needs stages that are not finished:\n" + "\n".join(lines),
            hint=f"Run without --from, or start with --from {by_id[missing[0]].job.entry}.",
        )
