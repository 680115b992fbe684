"""The Stage API: what a stage declares, what it is given, what it returns.

A stage is a function of (config, inputs, data, seed) to a folder of artifacts plus metrics. The pipeline runner, the
single-stage commands and the tests all run it through `wsss.pipeline.run.runner.run_stage`.

A stage file defines its `Config`, a ``run(ctx)`` function and one `Stage` object named ``STAGE``. Only light imports
belong at its top (torch, OpenCV and the like are imported inside ``run``): the command line reads every stage's
config to check a pipeline, and has to answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from wsss.validation import Settings

Json = Any
Kind = Literal["images", "labels", "masks"]


class StageConfig(Settings):
    """Base of all stage configs.

    A field of type `pathlib.Path` names an input file or folder: it enters the stage's identity by its content, not
    by its name.
    """


C = TypeVar("C", bound=StageConfig)


ALL_SPLITS = "*"
"""As a `Read`'s split: every split the dataset has, and nothing where no dataset is given."""


@dataclass(frozen=True)
class Read:
    """One thing that a stage reads of the dataset: the images, image-level labels or masks of one split."""

    split: str
    kind: Kind


@dataclass(frozen=True)
class Input:
    """A declared input: the kinds of artifact it accepts.

    Args:
        kinds: accepted values of `Stage.provides`.
        help: one line, shown by ``wsss STAGE --help``.
        optional: the stage also runs without it.
        many: takes every matching stage (all instances of a matrix) rather than exactly one.
        alias: name of the single-stage command's option, where it isn't the input's own.
    """

    kinds: tuple[str, ...]
    help: str
    optional: bool = False
    many: bool = False
    alias: str | None = None


@dataclass(frozen=True)
class Artifact:
    """A finished stage's folder, or a folder that comes from elsewhere (then only ``path`` is set).

    ``provenance`` gathers what a score has to carry (initial weights, scales, threshold policy, CRF preset …) from
    all stages upstream. ``result`` is a hash of the files, see `wsss.pipeline.plan.input_results`.
    """

    path: Path
    id: str | None = None
    uses: str | None = None
    identity: str | None = None
    config: Mapping[str, Json] = field(default_factory=dict)
    metrics: Mapping[str, Json] = field(default_factory=dict)
    provenance: Mapping[str, Json] = field(default_factory=dict)
    result: str | None = None


class Data(Protocol):
    """What the engine asks of a dataset; `wsss.data.sample.Dataset` is one."""

    @property
    def splits(self) -> Mapping[str, Sequence[Any]]:
        """Split name → its samples."""

    def fingerprint(self, split: str, kind: Kind) -> str:
        """Return a hash of the content of one kind of one split."""

    def read_split(self, split: str, kind: Kind) -> None:
        """Read one kind of one split; raise `InvalidInput` with the names of all files that are damaged."""


class Progress(Protocol):
    """Shows how far long work is (on stderr)."""

    def track(self, description: str, total: int, done: int = 0) -> Callable[[int], None]:
        """Start a bar of ``total`` steps, ``done`` of them already made; return a function that advances it."""


class Ranks(Protocol):
    """The processes that work on one run: one, or several under ``torchrun`` or SLURM."""

    rank: int
    size: int

    def barrier(self) -> None:
        """Wait until every process has come here."""

    def shard(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return this process's share of ``items``."""


@dataclass(frozen=True)
class Context(Generic[C]):
    """All that a stage's ``run`` is given.

    Args:
        config: the validated config.
        out: the folder to write artifacts to. It may hold artifacts of the same stage with the same identity,
            left by a run that was interrupted: work that is there is not done again. A ``checkpoint.pt`` in it is
            deleted once the stage is recorded as done.
        inputs: per declared input, an `Artifact` (``None`` where an optional one is missing), or a tuple of them
            where it is declared with ``many=True``.
        data: the dataset (`wsss.data.sample.Dataset`).
        seed: seeds everything random in the stage.
        device: ``"cpu"`` or ``"cuda"``.
        workers: number of processes for CPU-bound per-image work; results must not depend on it.
        progress, ranks: see their classes.
        log: prints one line to stderr and to ``run.log``.
        run_dir: the run's folder (for `report`); the folder above ``out`` for a single-stage command.
        identity: hash of all that the result depends on, down to the bytes of the inputs: a checkpoint holds it.
    """

    config: C
    out: Path
    inputs: Mapping[str, Any]
    data: Any
    seed: int
    device: str
    workers: int
    progress: Progress
    ranks: Ranks
    log: Callable[[str], None]
    run_dir: Path
    identity: str = ""


@dataclass(frozen=True)
class Result:
    """What a stage returns: metrics (JSON, deterministic: no timings) and what it adds to the provenance."""

    metrics: Mapping[str, Json]
    provenance: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage(Generic[C]):
    """A stage's declaration.

    Args:
        name: what ``uses:`` names, and the single-stage command's name.
        version: raise it whenever the code's results change; part of the stage's identity.
        config: the pydantic model that ``with:`` is checked against.
        run: does the work.
        provides: the kind of artifact it makes (``classifier``, ``cams``, ``masks``, ``segmenter``, ``scores``,
            ``report``).
        inputs: name → `Input`; a name is also the single-stage command's option (``--classifier DIR``).
        reads: config → what the stage reads of the dataset; part of its identity.
        covers: config → splits of whose images it makes something each, or ``None`` where that can't be said.
        needs_splits: config → splits of whose images its inputs have to hold something each.
        needs_settings: config → declared input → settings that the stage behind it must have, where it is known.
        resumes: after an interrupt, ``run`` keeps finished images or steps, and logs how many (as `map_items` of
            `pending` items and `wsss.train.loop.fit` do).
        check: config, dataset → nothing, or raises `InvalidInput`; run for every stage before any starts, also for
            those that are finished.
        check_inputs: config, declared input → ids of the stages it takes; may raise `InvalidInput` like ``check``, and
            is run with it.
        prepare: ``check`` for what takes longer: run only for the stages that will run, before any starts
            and before anything of an earlier run is deleted.
        ready: context → nothing, or raises `InvalidInput`: what only finished inputs can tell. Run by the first process
            when the stage's turn has come, before anything of an earlier run is deleted; it writes nothing.
        inspect: ``ready`` for what takes longer: reads every file of the inputs; run only where an earlier result would
            be deleted.
        keeps: folder, its identity before and now → whether the files of a run that didn't finish stay although the
            identity changed; `run` then deletes those that are outdated.
        help: one line for ``wsss --help``; the package's own stages have theirs in `wsss.stages.HELP`.
        trains: config → images per optimiser step and process, for a stage that trains one network in all processes
            together: its result depends on their number, which is part of its identity. ``None`` for all others.
    """

    name: str
    version: int
    config: type[C]
    run: Callable[[Context[C]], Result]
    provides: str
    help: str = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    reads: Callable[[C], Iterable[Read]] = lambda config: ()
    covers: Callable[[C], Iterable[str] | None] = lambda config: None
    needs_splits: Callable[[C], Iterable[str]] = lambda config: ()
    needs_settings: Callable[[C], Mapping[str, Mapping[str, Json]]] = lambda config: {}
    resumes: bool = False
    check: Callable[[C, Any], None] = lambda config, data: None
    check_inputs: Callable[[C, Mapping[str, Sequence[str]]], None] = lambda config, ids: None
    prepare: Callable[[C, Any], None] = lambda config, data: None
    ready: Callable[[Context[C]], None] = lambda ctx: None
    inspect: Callable[[Context[C]], None] = lambda ctx: None
    keeps: Callable[[Path, Mapping[str, Json], Mapping[str, Json]], bool] = lambda folder, before, now: False
    trains: Callable[[C], int] | None = None
