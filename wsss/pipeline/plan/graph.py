"""The graph of a pipeline: stages fanned out over the matrix and bound to their inputs, in topological order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from wsss.errors import MAX_SHOWN, InvalidInput
from wsss.io.text.instance_ids import Point, instance_id
from wsss.pipeline.config.interpolate import references
from wsss.pipeline.config.matrix import MAX_INSTANCES, agree, count_points, points
from wsss.pipeline.config.spec import Entry, Spec
from wsss.pipeline.config.supervision_block import check_weight, require_taken
from wsss.pipeline.plan.bind import bind
from wsss.pipeline.plan.instance import is_enabled, make_job
from wsss.pipeline.plan.job import Job
from wsss.pipeline.problems import raise_all
from wsss.pipeline.stage import Registry, StageConfig


def build_jobs(spec: Spec, registry: Registry) -> dict[str, Job]:
    """Return all jobs by id, each after those it needs.

    Raises:
        InvalidInput: unknown stages, cycles, unbound inputs, invalid configs; one line per problem.
    """
    raise_all(_unknown_names(spec, registry), limit=MAX_SHOWN)
    check_weight(spec.supervision)
    jobs = _Builder(spec, registry, _topological_order(spec)).build()
    require_taken(spec.supervision, {key for job in jobs.values() for key in job.supervision})
    return jobs


def job_alone(spec: Spec, registry: Registry, entry: str, id: str) -> Job:
    """Return one instance of a stage without its inputs; the other stages may be invalid.

    Args:
        spec, registry: as for `build_jobs`.
        entry, id: ids of the stage in the file and of the instance.

    Raises:
        InvalidInput: no such instance, or its config is invalid.
    """
    declared = spec.entries.get(entry)
    if declared is not None and declared.uses in registry:
        builder = _Builder(spec, registry, [declared])
        for point in points(spec.axes, builder.axes_of(declared)):
            if instance_id(entry, point) == id:
                return make_job(spec, registry[declared.uses], declared, point, id)
    raise InvalidInput(f"the pipeline has no stage {id!r}", subject=spec.name)


class _Builder:
    """Builds the jobs of a pipeline stage by stage and collects their problems."""

    def __init__(self, spec: Spec, registry: Registry, order: Sequence[Entry]) -> None:
        self.spec, self.registry, self.order = spec, registry, order
        self.problems: list[InvalidInput] = []
        self.broken: set[str] = set()  # stages whose instances are unknown
        fixed = [entry for entry in order if not references(entry.part("enabled").value, "matrix")]
        self.off = {entry.id for entry in fixed if not is_enabled(spec, entry, {})}  # disabled at every point
        self.fans: dict[str, tuple[str, ...]] = {}  # stage id → its axes
        self.jobs: dict[str, Job] = {}
        self.substitutes: dict[str, tuple[str, ...]] = {}  # disabled instance → ids of the jobs that replace it
        self.instances: dict[str, list[tuple[Point, str]]] = {}  # stage id → its instances, disabled ones included

    def build(self) -> dict[str, Job]:
        for entry in self.order:
            try:
                self.fans[entry.id] = self.axes_of(entry)
                self.instances[entry.id] = []
                self.check_count(entry)
                for point in points(self.spec.axes, self.fans[entry.id]):
                    self.add(entry, point)
            except InvalidInput as error:
                self.problems.append(error)
                self.broken.add(entry.id)
        raise_all(self.problems, limit=MAX_SHOWN)
        if not self.jobs:
            raise InvalidInput("every stage of the pipeline is disabled", subject=self.spec.name)
        return self.jobs

    def check_count(self, entry: Entry) -> None:
        """Reject a matrix with too many instances before any is created."""
        count = count_points(self.spec.axes, self.fans[entry.id])
        if count + len(self.jobs) > MAX_INSTANCES:
            sizes = {axis: len(self.spec.axes[axis]) for axis in self.fans[entry.id]}
            largest = max(sizes, key=lambda axis: sizes[axis])
            raise entry.error(
                f"{count:,} combinations of the matrix ({' × '.join(f'{axis}: {n}' for axis, n in sizes.items())})",
                allowed=f"at most {MAX_INSTANCES:,} instances of stages in a pipeline",
                hint=f"Use fewer values: --set 'matrix.{largest}=[…]'",
            )

    def axes_of(self, entry: Entry) -> tuple[str, ...]:
        """Return the axes that a stage fans out over, in the order of the matrix."""
        axes = set() if entry.id in self.off else references(entry.source.value, "matrix")
        unknown = sorted(axes - set(self.spec.axes))
        if unknown:
            allowed = self.spec.axes or "an axis of matrix:, which has none"
            raise entry.error("unknown axis of the matrix", found=unknown[0], allowed=allowed)
        for need in entry.needs:
            if need in self.off or self.fans_over(entry, need):
                axes |= set(self.fans.get(need, ()))
        return tuple(axis for axis in self.spec.axes if axis in axes)

    def fans_over(self, entry: Entry, need: str) -> bool:
        """Return whether ``entry`` takes instances of ``need`` one by one rather than all of them."""
        kind = self.registry[self.spec.entries[need].uses].provides
        return any(kind in i.kinds and not i.many for i in self.registry[entry.uses].inputs.values())

    def add(self, entry: Entry, point: Point) -> None:
        """Add the job of one instance, or its substitutes if it is disabled."""
        id = instance_id(entry.id, point)
        needed, substitutes = self.needed_jobs(entry, point)
        self.instances[entry.id].append((point, id))
        if entry.id in self.off or not is_enabled(self.spec, entry, point):
            self.substitutes[id] = tuple(dict.fromkeys([*needed, *substitutes]))
            return
        job: Job | None = None
        inputs: dict[str, tuple[str, ...]] | None = None
        try:
            job = make_job(self.spec, self.registry[entry.uses], entry, point, id)
        except InvalidInput as error:
            self.problems.append(error)
        if self.broken.intersection(entry.needs):  # one error is enough
            self.broken.add(entry.id)
            return
        try:
            inputs = bind(entry, self.registry, self.spec.entries, self.kinds(needed), self.kinds(substitutes))
        except InvalidInput as error:
            self.problems.append(error)
        # A job with an error remains in the graph, so that its dependants are not reported too.
        invalid = Job(id, entry.id, self.registry[entry.uses], StageConfig(), 0)
        self.jobs[id] = invalid if job is None or inputs is None else replace(job, inputs=inputs)

    def needed_jobs(self, entry: Entry, point: Point) -> tuple[list[str], list[str]]:
        """Return the ids of the jobs that ``entry`` names at ``point``, and of the substitutes of disabled ones."""
        needed: list[str] = []
        substitutes: list[str] = []
        for need in entry.needs:
            for id in self.agreeing(need, point):
                if id in self.substitutes:
                    substitutes += self.substitutes[id]
                elif id in self.jobs:
                    needed.append(id)
        return needed, substitutes

    def agreeing(self, need: str, point: Point) -> list[str]:
        """Return the ids of the instances of a stage that agree with ``point`` on the axes they share."""
        axes = self.fans.get(need, ())
        if all(axis in point for axis in axes):  # exactly one: no search through thousands
            return [instance_id(need, {axis: point[axis] for axis in axes})]
        return [id for other, id in self.instances.get(need, []) if agree(other, point)]

    def kinds(self, ids: Sequence[str]) -> dict[str, str]:
        return {id: self.jobs[id].stage.provides for id in ids}


def _unknown_names(spec: Spec, registry: Registry) -> list[InvalidInput]:
    problems = []
    for entry in spec.entries.values():
        if entry.uses not in registry:
            problems.append(entry.error("unknown stage", ("uses",), found=entry.uses, allowed=registry))
        for index, need in enumerate(entry.needs):
            path = ("needs", index)
            if need not in spec.entries:
                others = [id for id in spec.entries if id != entry.id] or "another stage, but there are none"
                problems.append(entry.error("unknown stage", path, found=need, allowed=others))
            elif need in entry.needs[:index]:
                problems.append(entry.error(f"duplicate {need!r}", path))
    return problems


def _topological_order(spec: Spec) -> list[Entry]:
    """Return the entries, each after those it needs, otherwise in the order of the file."""
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
    cycle = walk[walk.index(walk[-1]) :]
    return left[cycle[0]].error(f"stages form a cycle: {' → '.join(cycle)}", ("needs",))
