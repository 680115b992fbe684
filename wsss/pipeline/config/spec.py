"""The validated pipeline: read by name or path, merged with the files it extends, overridden, validated in shape."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import CORRECTIONS, RUN
from wsss.model_fields import KeyPath
from wsss.pipeline.config.file_shape import TOP_KEYS, PipelineFile
from wsss.pipeline.config.interpolate import interpolate, references
from wsss.pipeline.config.layers import override_all, read_layers, set_precision
from wsss.pipeline.config.matrix import Axes, read_axes
from wsss.pipeline.config.pipeline_files import NAME, NAME_RULE, find_pipeline
from wsss.pipeline.config.source import Source
from wsss.pipeline.problems import raise_all
from wsss.pipeline.stage import Registry
from wsss.pipeline.store.run_folder import LOG
from wsss.validation import validate

_RESERVED = {
    **dict.fromkeys((RUN, LOG), "a file in every run directory"),
    CORRECTIONS: "the folder of corrected masks",
    **dict.fromkeys(TOP_KEYS, "a key of pipeline files"),
}


@dataclass(frozen=True)
class Entry:
    """One stage of the file, with its expressions not yet replaced."""

    id: str
    uses: str
    needs: tuple[str, ...]
    source: Source

    def part(self, key: str, default: Any = None) -> Source:
        """Return ``with``, ``seed`` or ``enabled`` as written."""
        return self.source.get(key, default)

    def error(self, problem: str = "", path: KeyPath = (), **fields: Any) -> InvalidInput:
        """Return an error about a key of this entry; ``fields`` are those of `InvalidInput`."""
        return InvalidInput(problem, subject=self.source.subject(path, f"stages.{self.id}"), **fields)


@dataclass(frozen=True)
class Spec:
    """A validated pipeline file.

    Args:
        name: name of the pipeline, and of its run directory.
        seed: seed of every stage that has none of its own.
        data: config of the dataset, expressions replaced; opaque to the engine.
        data_source: the same with locations.
        supervision: the ``supervision:`` block, see `wsss.pipeline.config.supervision_block`.
        entries: stage id → entry, in the order of the file.
        resolved: the whole file after ``extends`` and ``--set``, for ``run.json``; outside of stages, expressions are
            replaced, since commands on the finished run have neither the environment nor the file.
    """

    name: str
    description: str
    seed: int
    data: Mapping[str, Any]
    data_source: Source
    supervision: Source
    axes: Axes
    entries: Mapping[str, Entry]
    resolved: Mapping[str, Any]


def load_spec(pipeline: str, registry: Registry, sets: Sequence[str] = (), *, precision: str | None = None) -> Spec:
    """Load a pipeline.

    Args:
        pipeline: name of a shipped pipeline, or a path.
        registry: stage name → stage; ``--set`` looks up the keys of configs in it.
        sets: ``key.path=value`` texts.
        precision: for every stage whose config has a ``precision``, unless ``sets`` set it for the stage.

    Raises:
        InvalidInput: the shape of the file is invalid; one line per problem.
    """
    source = override_all(read_layers(find_pipeline(pipeline), registry), sets, registry)
    return spec_from(source if precision is None else set_precision(source, registry, precision))


def spec_from(source: Source) -> Spec:
    """Validate the shape of a pipeline and replace expressions outside of stages.

    Raises:
        InvalidInput: one line per problem.
    """
    file = validate(PipelineFile, source.value, where="", locate=source.locate)
    raise_all(_problems(file, source))
    seed = read_seed(interpolate(source.get("seed", 0), {"env": os.environ}, "seed"), "seed")
    data = interpolate(source.get("data", {}), {"env": os.environ, "seed": seed}, "data")
    supervision = interpolate(source.get("supervision", {}), {"env": os.environ, "data": data.value}, "supervision")
    entries = {
        name: Entry(name, entry.uses, tuple(entry.needs), source.at(("stages", name)))
        for name, entry in file.stages.items()
    }
    axes = read_axes(source.get("matrix", {}))
    replaced = {"seed": seed, "data": data.value, "supervision": supervision.value}
    resolved = {**source.value, **{key: value for key, value in replaced.items() if source.value.get(key) is not None}}
    return Spec(file.name, file.description, seed, data.value, data, supervision, axes, entries, resolved)


def read_seed(source: Source, where: str) -> int:
    """Return a seed, its expressions replaced.

    Raises:
        InvalidInput: not an integer from 0 to 2³² − 1.
    """
    value = source.value
    if isinstance(value, str) and value.strip().isdigit():  # from the environment
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        raise InvalidInput(
            subject=source.subject(where=where), found=value, allowed=f"an integer from 0 to {2**32 - 1}"
        )
    return value


def _problems(file: PipelineFile, source: Source) -> list[InvalidInput]:
    """Return the errors that the models of the file cannot detect: in names, and in references to the matrix."""
    problems = []
    if not NAME.match(file.name):
        problems.append(InvalidInput(subject=source.subject(("name",)), found=file.name, allowed=NAME_RULE))
    if not file.stages:
        problems.append(InvalidInput("no stages", subject=source.subject(("stages",))))
    for stage in file.stages:
        subject = source.subject(("stages", stage))
        if not NAME.match(stage):
            problems.append(InvalidInput(subject=subject, found=stage, allowed=NAME_RULE))
        elif stage in _RESERVED:
            problems.append(
                InvalidInput(f"{stage!r} is reserved ({_RESERVED[stage]})", subject=subject, allowed="another id")
            )
    for key in ("data", "seed", "supervision"):
        if references(source.value.get(key), "matrix"):
            problem = "${{ matrix.… }} is available inside stages only"
            problems.append(InvalidInput(problem, subject=source.subject((key,))))
    return problems
