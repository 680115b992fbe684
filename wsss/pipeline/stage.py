"""The Stage API: what a stage declares, receives and returns.

A stage is a function of (config, inputs, data, seed) to a folder of artifacts plus metrics. It is always run by
`wsss.pipeline.run.runner.perform`: a pipeline gets there from `wsss.pipeline.run.run_steps.Execution`, which plans all
stages, and a single-stage command from `wsss.pipeline.run.runner.run_stage`, which decides about this stage only.

A stage file defines its `StageConfig`, a ``run(ctx)`` function and one `Stage` named ``STAGE``. Heavy packages (torch,
OpenCV) are imported inside ``run`` only: the command line reads every stage's config to validate a pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import model_validator

from wsss.model_fields import with_nested_defaults
from wsss.validation import Settings

Json = Any
Kind = Literal["images", "labels", "masks"]


class StageConfig(Settings):
    """Base of all stage configs.

    A field of type `pathlib.Path` names an input file or folder: its content enters the identity of the stage, not its
    name. A mapping for a nested config keeps the settings that the default of its field has
    (`wsss.model_fields.with_nested_defaults`).
    """

    @model_validator(mode="before")
    @classmethod
    def _keep_nested_defaults(cls, value: Any) -> Any:
        return with_nested_defaults(cls, value) if isinstance(value, Mapping) else value


C = TypeVar("C", bound=StageConfig)


ALL_SPLITS = "*"
"""As the split of a `Read`: every split of the dataset, and nothing without a dataset."""


@dataclass(frozen=True)
class Read:
    """A part of the dataset that a stage reads: the images, image-level labels or masks of one split."""

    split: str
    kind: Kind


def reads_of(splits: Iterable[str], *kinds: Kind) -> list[Read]:
    """Return the reads of a stage that needs the same kinds of data of several splits."""
    return [Read(split, kind) for split in splits for kind in kinds]


@dataclass(frozen=True)
class Input:
    """A declared input.

    Args:
        kinds: accepted values of `Stage.provides`.
        help: one line, shown by ``wsss STAGE --help``.
        optional: the stage also runs without it.
        many: takes every matching stage (all instances of a matrix) rather than exactly one.
        alias: name of the option of the single-stage command, if it is not the name of the input.
        nested: record the provenance of this input separately, under the input's name, because it does not describe the
            stage's result directly.
        in_identity_if_set: part of the identity only if it is present; for inputs added to an existing stage, like
            `wsss.validation.InIdentityIfSet` for settings.
    """

    kinds: tuple[str, ...]
    help: str
    optional: bool = False
    many: bool = False
    alias: str | None = None
    nested: bool = False
    in_identity_if_set: bool = False


@dataclass(frozen=True)
class Artifact:
    """The folder of a finished stage, or an external folder (then only ``path`` is set).

    ``provenance`` collects from all stages upstream what a score has to carry (initial weights, scales, threshold
    policy, CRF preset …). ``result`` is a hash of the files, see `wsss.pipeline.plan.input_results`.
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
    """The dataset as the engine uses it; `wsss.data.dataset.Dataset` is one."""

    @property
    def splits(self) -> Mapping[str, Sequence[Any]]:
        """Split name → its samples."""

    def fingerprint(self, split: str, kind: Kind) -> str:
        """Return a hash of the content of one kind of one split."""

    def read_split(self, split: str, kind: Kind) -> None:
        """Read one kind of one split; raise `InvalidInput` with the names of all damaged files."""


class Progress(Protocol):
    """Progress bars on stderr."""

    def track(self, description: str, total: int, done: int = 0) -> Callable[[int], None]:
        """Start a bar of ``total`` steps, ``done`` of them finished; return a function that advances it."""


class Ranks(Protocol):
    """The processes of a run: one, or several under ``torchrun`` or SLURM."""

    rank: int
    size: int

    def barrier(self) -> None:
        """Wait for all processes."""

    def shard(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return this process's share of ``items``."""

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes in the order of their ranks."""


@dataclass(frozen=True)
class Context(Generic[C]):
    """The argument of a stage's ``run``.

    Args:
        out: folder for the artifacts. After an interrupt it still contains those that the same stage wrote with the
            same identity, and ``run`` does not compute them again. A ``checkpoint.pt`` in it is deleted once the stage
            is recorded as done.
        inputs: per declared input an `Artifact` (``None`` for a missing optional one), or a tuple of them for
            ``many=True``.
        data: the dataset (`wsss.data.dataset.Dataset`).
        seed: seed of everything random in the stage.
        device: ``"cpu"`` or ``"cuda"``.
        precision: floating-point precision to compute in, if the config has this setting: the requested precision, the
            one that replaces it on this device, or that of the earlier work if the stage resumes. ``None``: as
            requested by the config.
        workers: number of processes for CPU-bound per-image work; results must not depend on it.
        progress, ranks: see their classes.
        log: prints one line to stderr and ``run.log``.
        run_dir: the run directory (for `report`); for a single-stage command the parent of ``out``.
        identity: hash of everything that the result depends on, including the bytes of the inputs; stored in
            checkpoints.
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
    precision: str | None = None


@dataclass(frozen=True)
class Result:
    """The return value of a stage: metrics (JSON, deterministic: no timings) and additions to the provenance."""

    metrics: Mapping[str, Json]
    provenance: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage(Generic[C]):
    """The declaration of a stage.

    Args:
        name: value of ``uses:``, and name of the single-stage command.
        version: to be increased whenever the code's results change; part of the stage's identity.
        config: the pydantic model of ``with:``.
        run: computes the artifacts.
        provides: kind of its artifact (``classifier``, ``affinity``, ``cams``, ``masks``, ``segmenter``, ``scores``,
            ``report``).
        inputs: name → `Input`; a name is also the option of the single-stage command (``--classifier DIR``).
        reads: config → parts of the dataset that the stage reads; part of its identity.
        covers: config → splits for whose images it writes one artifact each, or ``None`` if unknown.
        needs_splits: config → splits for whose images its inputs must hold one artifact each.
        needs_settings: config → declared input → settings required of the stage that provides it, if known.
        resumes: after an interrupt ``run`` keeps finished images or steps and logs how many (as `map_items` of
            `pending` items and `wsss.train.loop.fit` do).
        check: config, dataset → ``None``, or raises `InvalidInput`; called for every stage before any starts, finished
            ones included.
        check_inputs: config, declared input → ids of the stages it takes; called together with ``check``, and may raise
            `InvalidInput` too.
        prepare: like ``check`` for slow checks: called only for the stages that will run, before any starts and before
            any earlier result is deleted.
        ready: context → ``None``, or raises `InvalidInput`: checks of finished inputs. Called by the first process just
            before the stage runs and before an earlier result is deleted; writes nothing.
        inspect: like ``ready`` for slow checks: reads every file of the inputs; called only if an earlier result would
            be deleted.
        keeps: folder, its identity before and now → whether to keep the files of an unfinished run although the
            identity changed; ``run`` then deletes the outdated ones.
        help: one line for ``wsss --help``; those of the package's own stages are in `wsss.stages.HELP`.
        supervised: config as written, names of all stages that it depends on → whether it takes keys of the
            ``supervision:`` block; those it takes are marked in its config
            (`wsss.pipeline.config.supervision_block.FromSupervision`).
        trains: config → images per optimiser step and process, for a stage that trains one network in all processes
            together: their number is part of its identity. ``None`` for all other stages.
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
    supervised: Callable[[Mapping[str, Any], frozenset[str]], bool] = lambda values, upstream: True
    trains: Callable[[C], int] | None = None


Registry = Mapping[str, Stage[Any]]
"""Stage name → stage."""
