"""Checks of jobs before any of them starts: by the stage itself, and against the stages that provide its inputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.pipeline.plan.identity import Fingerprints
from wsss.pipeline.plan.job import Job
from wsss.pipeline.problems import raise_all
from wsss.pipeline.stage import Data

MAX_STAGES = 12
"""Maximum number of stages listed in the subject of an error."""


def check_job(job: Job, jobs: Mapping[str, Job], fingerprints: Fingerprints) -> None:
    """Run a stage's own checks, and compare its needs with the stages that provide its inputs.

    Raises:
        InvalidInput: the dataset lacks a part that the stage reads, or the stage cannot work on it or on its inputs.
    """
    fingerprints.of_all(job.stage.reads(job.config))
    job.stage.check(job.config, fingerprints.data)
    job.stage.check_inputs(job.config, job.inputs)
    _check_splits(job, jobs, fingerprints.data)
    _check_settings(job, jobs)


def prepare_jobs(jobs: Iterable[Job], data: Data | None) -> None:
    """Run `prepare` of the jobs that will run, before any of them starts.

    Raises:
        InvalidInput: some cannot run; lists the problems of all.
    """
    problems: list[tuple[Job, InvalidInput]] = []
    for job in jobs:
        try:
            job.stage.prepare(job.config, data)
        except InvalidInput as error:
            problems.append((job, error))
    raise_all(within_stages(problems))


def within_stages(problems: Iterable[tuple[Job, InvalidInput]]) -> list[InvalidInput]:
    """Return errors with their stages as outer subject; a problem that several stages share becomes one error."""
    shared: dict[str, tuple[list[str], InvalidInput]] = {}
    for job, error in problems:
        shared.setdefault(str(error), ([], error))[0].append(repr(job.id))
    return [
        error.within(f"Stage{'s' if len(ids) > 1 else ''} {listing(ids, limit=MAX_STAGES)}")
        for ids, error in shared.values()
    ]


def _check_splits(job: Job, jobs: Mapping[str, Job], data: Data | None) -> None:
    """Reject a stage whose inputs will lack images that it needs. Splits may overlap, so samples are compared."""
    if data is None:
        return
    for provider in (jobs[need] for need in job.needs):
        covered = provider.stage.covers(provider.config)
        if covered is None or not all(split in data.splits for split in covered):
            continue  # unknown, or an error of the provider's own check
        others = [split for split in job.stage.needs_splits(job.config) if split not in covered]
        samples: set[Any] = {sample for split in covered for sample in data.splits[split]} if others else set()
        missing = [split for split in others if not samples.issuperset(data.splits.get(split, ()))]
        if missing:
            raise InvalidInput(
                f"requires the images of {listing(missing)}, but {provider.id!r} covers only {listing(covered)}",
                hint=f"Add {listing(missing)} to the splits of {provider.id!r} (and of the stages it needs), or change "
                f"those of {job.id!r}.",
            )


def _check_settings(job: Job, jobs: Mapping[str, Job]) -> None:
    """Reject a stage whose inputs will lack what another setting of their stages would write."""
    for name, settings in job.stage.needs_settings(job.config).items():
        for provider in (jobs[id] for id in job.inputs.get(name, ()) if id in jobs):
            for key, required in settings.items():
                if getattr(provider.config, key, None) != required:
                    setting = f"{key}: {json.dumps(required)}"
                    raise InvalidInput(
                        f"requires its input {name}, {provider.id!r}, to have {setting}",
                        hint=f"Set {setting} in {provider.id!r}, or use a stage that has it.",
                    )
