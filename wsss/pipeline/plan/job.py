"""Jobs: instances of stages, and the graph that they form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsss.errors import InvalidInput
from wsss.pipeline.config.source import Source
from wsss.pipeline.stage import Stage, StageConfig


@dataclass(frozen=True)
class Job:
    """One instance of a stage before it runs.

    Args:
        id: instance id, also the name of its folder (``segment@loss=dice``).
        entry: id of the stage in the file (``segment``).
        config, seed: arguments of ``run``.
        inputs: declared input → ids of its jobs (several for ``many``, none for a missing optional one).
        source: the config as written, with locations, merged into its presets.
        where: key path of the config, for messages.
        supervision: the keys of the ``supervision:`` block that its config takes.
    """

    id: str
    entry: str
    stage: Stage[Any]
    config: StageConfig
    seed: int
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: Source = field(default_factory=lambda: Source({}))
    where: str = ""
    supervision: frozenset[str] = frozenset()

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of all jobs that provide its inputs."""
        return tuple(dict.fromkeys(id for ids in self.inputs.values() for id in ids))


def downstream(jobs: Mapping[str, Job], ids: Sequence[str]) -> set[str]:
    """Return ``ids`` and every job that depends on one of them."""
    reached = set(ids)
    for job in jobs.values():  # in topological order: one pass is enough
        if reached.intersection(job.needs):
            reached.add(job.id)
    return reached


def upstream(jobs: Mapping[str, Job], ids: Sequence[str]) -> set[str]:
    """Return ``ids`` and every job that one of them depends on."""
    reached = set(ids)
    for job in reversed(list(jobs.values())):
        if job.id in reached:
            reached.update(job.needs)
    return reached


def select(jobs: Mapping[str, Job], name: str, option: str) -> list[str]:
    """Return the ids of one instance, or of all instances of a stage.

    Args:
        name: id of an instance or of a stage in the file.
        option: option that names it, for messages.

    Raises:
        InvalidInput: no such stage.
    """
    ids = [job.id for job in jobs.values() if name in (job.id, job.entry)]
    if not ids:
        allowed = dict.fromkeys([*(job.entry for job in jobs.values()), *jobs])
        raise InvalidInput("no such stage", subject=option, found=name, allowed=allowed)
    return ids
