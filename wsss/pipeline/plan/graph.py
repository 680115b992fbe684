"""From a checked pipeline file to jobs: stages fanned out over the matrix, bound to their inputs, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from wsss.errors import MOST_SHOWN, InvalidInput, closest, listing
from wsss.pipeline.config.interpolate import interpolate, references
from wsss.pipeline.config.matrix import MAX_INSTANCES, Point, agree, count_points, instance_id, points, values_at
from wsss.pipeline.config.presets import with_presets
from wsss.pipeline.config.source import Source
from wsss.pipeline.config.spec import Entry, Spec, as_seed
from wsss.pipeline.plan.bind import bind
from wsss.pipeline.stage import Stage, StageConfig
from wsss.validation import discriminator_at, validate


@dataclass(frozen=True)
class Job:
    """One instance of a stage: all that is known of it before anything runs.

    Args:
        id: instance id, also its folder's name (``segment@loss=dice``).
        entry: id of the stage in the file (``segment``).
        stage: what it runs.
        point: its place in the matrix.
        config, seed: as ``run`` will get them.
        inputs: declared input → ids of the jobs it takes (several for ``many``, none where an optional one is absent).
        source: the config as written, with places, presets laid under it.
        where: key path of the config, for messages.
    """

    id: str
    entry: str
    stage: Stage[Any]
    point: Point
    config: StageConfig
    seed: int
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: Source = field(default_factory=lambda: Source({}))
    where: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of all jobs it takes something from."""
        return tuple(dict.fromkeys(id for ids in self.inputs.values() for id in ids))


def build_jobs(spec: Spec, registry: Mapping[str, Stage[Any]]) -> dict[str, Job]:
    """Return all jobs by id, each after those it needs.

    Raises:
        InvalidInput: unknown stages, cycles, unbound inputs, wrong configs: all that was found, one line per problem.
    """
    problems = _unknown_words(spec, registry)
    _raise(problems)
    order = _order(spec)
    return _Builder(spec, registry, order).build()


def job_alone(spec: Spec, registry: Mapping[str, Stage[Any]], entry: str, id: str) -> Job:
    """Return one instance of a stage, without its inputs and whatever the other stages are like.

    Args:
        spec, registry: as of `build_jobs`.
        entry, id: of the stage in the file, and of the instance.

    Raises:
        InvalidInput: there is no such instance, or its config is wrong.
    """
    found = spec.entries.get(entry)
    if found is not None and found.uses in registry:
        builder = _Builder(spec, registry, [found])
        for point in points(spec.axes, builder.axes_of(found)):
            if instance_id(entry, point) == id:
                return builder.job(found, point, id)
    raise InvalidInput(f"{spec.name}: the pipeline has no stage {id!r}.")


def downstream(jobs: Mapping[str, Job], ids: Sequence[str]) -> set[str]:
    """Return ``ids`` and every job that depends on one of them."""
    found = set(ids)
    for job in jobs.values():  # in order, so one pass is enough
        if found.intersection(job.needs):
            found.add(job.id)
    return found


def upstream(jobs: Mapping[str, Job], ids: Sequence[str]) -> set[str]:
    """Return ``ids`` and every job that one of them depends on."""
    found = set(ids)
    for job in reversed(list(jobs.values())):
        if job.id in found:
            found.update(job.needs)
    return found


def select(jobs: Mapping[str, Job], wanted: str, option: str) -> list[str]:
    """Return the ids meant by ``wanted``: one instance, or all instances of a stage.

    Raises:
        InvalidInput: there is no such stage.
    """
    found = [job.id for job in jobs.values() if wanted in (job.id, job.entry)]
    if not found:
        allowed = list(dict.fromkeys([*(job.entry for job in jobs.values()), *jobs]))
        raise InvalidInput(
            f"{option} {wanted}: no such stage; there are {listing(allowed, limit=60)}{closest(wanted, allowed)}"
        )
    return found


class _Builder:
    """Builds the jobs of one pipeline stage by stage, and gathers what is wrong with them."""

    def __init__(self, spec: Spec, registry: Mapping[str, Stage[Any]], order: Sequence[Entry]) -> None:
        self.spec, self.registry, self.order = spec, registry, order
        self.problems: list[str] = []
        self.broken: set[str] = set()  # stages whose instances are not known
        fixed = [entry for entry in order if not references(entry.part("enabled").value, "matrix")]
        self.off = {entry.id for entry in fixed if self.disabled(entry, {})}  # disabled at every point of the matrix
        self.fans: dict[str, tuple[str, ...]] = {}  # stage id → its axes
        self.jobs: dict[str, Job] = {}
        self.skipped: dict[str, tuple[str, ...]] = {}  # disabled instance → ids of the jobs that stand in for it
        self.instances: dict[str, list[tuple[Point, str]]] = {}  # stage id → its instances, disabled ones too

    def build(self) -> dict[str, Job]:
        for entry in self.order:
            try:
                self.fans[entry.id] = self.axes_of(entry)
                self.instances[entry.id] = []
                if self.is_too_many(entry):
                    break
                for point in points(self.spec.axes, self.fans[entry.id]):
                    self.add(entry, point)
            except InvalidInput as error:
                self.problems.append(str(error))
                self.broken.add(entry.id)
        _raise(self.problems)
        if not self.jobs:
            raise InvalidInput("Every stage of the pipeline is disabled.")
        return self.jobs

    def is_too_many(self, entry: Entry) -> bool:
        """Tell whether the matrix makes more instances than any run could finish, before they are made; note that."""
        own = count_points(self.spec.axes, self.fans[entry.id])
        if own + len(self.jobs) <= MAX_INSTANCES:
            return False
        sizes = {axis: len(self.spec.axes[axis]) for axis in self.fans[entry.id]}
        self.problems.append(
            f"{entry.id}: {own:,} combinations of the matrix ({' × '.join(f'{a}: {n}' for a, n in sizes.items())}); a "
            f"pipeline may have {MAX_INSTANCES:,} instances of stages.\n"
            f"Use fewer values: --set 'matrix.{max(sizes, key=lambda axis: sizes[axis])}=[…]'"
        )
        return True

    def axes_of(self, entry: Entry) -> tuple[str, ...]:
        """Return the axes a stage fans out over, in the order of the matrix."""
        if entry.id in self.off:
            own: set[str] = set()
        else:
            own = references(entry.source.value, "matrix")
        unknown = own - set(self.spec.axes)
        if unknown:
            name = sorted(unknown)[0]
            raise entry.error(
                f"matrix.{name}: there is no such axis; the axes are {listing(self.spec.axes) or 'none'}"
                f"{closest(name, self.spec.axes)}"
            )
        for need in entry.needs:
            if need in self.off or self.fans_over(entry, need):
                own |= set(self.fans.get(need, ()))
        return tuple(axis for axis in self.spec.axes if axis in own)

    def fans_over(self, entry: Entry, need: str) -> bool:
        """Tell whether ``entry`` takes instances of ``need`` one by one (rather than all of them at once)."""
        kind = self.registry[self.spec.entries[need].uses].provides
        return any(kind in i.kinds and not i.many for i in self.registry[entry.uses].inputs.values())

    def add(self, entry: Entry, point: Point) -> None:
        """Make the job of one instance, or note who stands in for it when it is disabled."""
        id = instance_id(entry.id, point)
        written, passed = self.taken(entry, point)
        self.instances[entry.id].append((point, id))
        if entry.id in self.off or self.disabled(entry, point):
            self.skipped[id] = tuple(dict.fromkeys([*written, *passed]))
            return
        job = None
        try:
            job = self.job(entry, point, id)
        except InvalidInput as error:
            self.problems.append(str(error))
        try:
            if self.broken.intersection(entry.needs):  # told once is enough
                self.broken.add(entry.id)
                return
            inputs = bind(entry, self.registry, self.spec.entries, self.kinds(written), self.kinds(passed))
            if job is not None:
                self.jobs[id] = Job(**{**vars(job), "inputs": inputs})
                return
        except InvalidInput as error:
            self.problems.append(str(error))
        # A broken stage still stands in the graph, so that what follows it isn't called broken too.
        self.jobs[id] = Job(id, entry.id, self.registry[entry.uses], point, StageConfig(), 0)

    def taken(self, entry: Entry, point: Point) -> tuple[list[str], list[str]]:
        """Return the ids of the jobs ``entry`` needs at ``point``: those it names, and those in place of disabled."""
        written: list[str] = []
        passed: list[str] = []
        for need in entry.needs:
            for id in self.agreeing(need, point):
                if id in self.skipped:
                    passed += self.skipped[id]
                elif id in self.jobs:
                    written.append(id)
        return written, passed

    def agreeing(self, need: str, point: Point) -> list[str]:
        """Return the ids of the instances of a stage that agree with ``point`` on the axes they share."""
        own = self.fans.get(need, ())
        if all(axis in point for axis in own):  # there is one, and thousands needn't be looked through
            return [instance_id(need, {axis: point[axis] for axis in own})]
        return [id for there, id in self.instances.get(need, []) if agree(there, point)]

    def kinds(self, ids: Sequence[str]) -> dict[str, str]:
        return {id: self.jobs[id].stage.provides for id in ids}

    def job(self, entry: Entry, point: Point, id: str) -> Job:
        stage = self.registry[entry.uses]
        scope = self.scope(point)
        where = f"stages.{entry.id}.with"

        def fill(source: Source) -> Source:
            return interpolate(source, scope, where)

        tag_at = partial(discriminator_at, stage.config)
        source = with_presets(fill(entry.part("with", {})), where=where, fill=fill, tag_at=tag_at)
        config = validate(stage.config, source.value, where=where, locate=source.locate)
        missing = [
            f"{': '.join(part for part in (source.locate(path), '.'.join((where, *map(str, path)))) if part)}: "
            f"no such file or folder: {value} (another: --set {'.'.join((entry.id, *map(str, path)))}=PATH)"
            for path, value in paths_in(config)
            if not value.exists()
        ]
        _raise(missing)
        seed_source = entry.part("seed", self.spec.seed)
        seed = as_seed(interpolate(seed_source, scope, f"stages.{entry.id}.seed"), f"stages.{entry.id}.seed")
        return Job(id, entry.id, stage, point, config, seed, {}, source, where)

    def disabled(self, entry: Entry, point: Point) -> bool:
        where = f"stages.{entry.id}.enabled"
        value = interpolate(entry.part("enabled", True), self.scope(point), where).value
        word = str(value).strip().lower()
        if word not in ("true", "false"):
            raise entry.error(f"found {value!r}; allowed are true and false.", ("enabled",))
        return word == "false"

    def scope(self, point: Point) -> dict[str, Any]:
        return {
            "matrix": values_at(self.spec.axes, point),
            "data": self.spec.data,
            "env": os.environ,
            "seed": self.spec.seed,
        }


def paths_in(config: StageConfig) -> Iterator[tuple[tuple[str | int, ...], Path]]:
    """Yield key path and value of every `pathlib.Path` in a config, nested ones too."""
    yield from _paths(config.model_dump(), ())


def _paths(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Path]]:
    if isinstance(value, Path):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))


def _unknown_words(spec: Spec, registry: Mapping[str, Stage[Any]]) -> list[str]:
    problems = []
    for entry in spec.entries.values():
        if entry.uses not in registry:
            message = f"found {entry.uses!r}; stages are {listing(registry, limit=40)}{closest(entry.uses, registry)}"
            problems.append(str(entry.error(message, ("uses",))))
        for index, need in enumerate(entry.needs):
            if need not in spec.entries:
                others = [id for id in spec.entries if id != entry.id]
                message = f"found {need!r}; the other stages are {listing(others, limit=40)}{closest(need, others)}"
                problems.append(str(entry.error(message, ("needs", index))))
            elif need in entry.needs[:index]:
                problems.append(str(entry.error(f"duplicate {need!r}", ("needs", index))))
    return problems


def _order(spec: Spec) -> list[Entry]:
    """Return the entries so that each stands behind those it needs, otherwise in the order of the file."""
    done: dict[str, Entry] = {}
    left = dict(spec.entries)
    while left:
        ready = next((entry for entry in left.values() if all(need in done for need in entry.needs)), None)
        if ready is None:
            raise _cycle(left)
        done[ready.id] = left.pop(ready.id)
    return list(done.values())


def _cycle(left: Mapping[str, Entry]) -> InvalidInput:
    walk = [next(iter(left))]
    while walk[-1] not in walk[:-1]:
        walk.append(next(need for need in left[walk[-1]].needs if need in left))
    circle = walk[walk.index(walk[-1]) :]
    return left[circle[0]].error(f"the stages need each other in a circle: {' → '.join(circle)}", ("needs",))


def _raise(problems: Sequence[str]) -> None:
    lines = list(dict.fromkeys(problems))
    if lines:
        more = [f"and {len(lines) - MOST_SHOWN} more."] if len(lines) > MOST_SHOWN else []
        raise InvalidInput("\n".join([*lines[:MOST_SHOWN], *more]))
