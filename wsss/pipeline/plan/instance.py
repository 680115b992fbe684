"""One instance of a stage: its config, seed and ``enabled`` at a point of the matrix."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.text.instance_ids import Point
from wsss.model_fields import KeyPath, discriminator_at
from wsss.pipeline.config.interpolate import interpolate
from wsss.pipeline.config.matrix import values_at
from wsss.pipeline.config.presets import with_presets
from wsss.pipeline.config.source import Source
from wsss.pipeline.config.spec import Entry, Spec, read_seed
from wsss.pipeline.config.supervision_block import KEY, key_of, with_supervision
from wsss.pipeline.plan.job import Job
from wsss.pipeline.problems import raise_all
from wsss.pipeline.stage import Stage, StageConfig
from wsss.validation import validate


def make_job(spec: Spec, stage: Stage[Any], entry: Entry, point: Point, id: str) -> Job:
    """Return an instance of a stage, not yet bound to its inputs.

    Raises:
        InvalidInput: an invalid config or seed, or a missing file.
    """
    scope = _scope(spec, point)
    where = f"stages.{entry.id}.with"

    def fill(source: Source) -> Source:
        return interpolate(source, scope, where)

    tag_at = partial(discriminator_at, stage.config)
    source = with_presets(fill(entry.part("with", {})), where=where, fill=fill, tag_at=tag_at)
    taken: frozenset[str] = frozenset()
    if stage.supervised(source.value, _upstream(spec, entry)):
        source, taken = with_supervision(source, spec.supervision, stage.config)
    config = validate(stage.config, source.value, where=where, locate=source.locate)
    missing = [
        (value, *_subject_and_key(spec, stage, entry, source, path, taken))
        for path, value in paths_in(config)
        if not value.exists()
    ]
    raise_all(
        [
            InvalidInput(
                f"no such file or folder: {value}", subject=subject, hint=f"Pass another path: --set {key}=PATH"
            )
            for value, subject, key in missing
        ]
    )
    seed_where = f"stages.{entry.id}.seed"
    seed = read_seed(interpolate(entry.part("seed", spec.seed), scope, seed_where), seed_where)
    return Job(id, entry.id, stage, config, seed, {}, source, where, taken)


def _upstream(spec: Spec, entry: Entry) -> frozenset[str]:
    """Return the names of all stages that an entry depends on."""
    reached: dict[str, str] = {}
    left = list(entry.needs)
    while left:
        id = left.pop()
        needed = spec.entries.get(id)
        if needed is not None and id not in reached:
            reached[id] = needed.uses
            left += needed.needs
    return frozenset(reached.values())


def _subject_and_key(
    spec: Spec, stage: Stage[Any], entry: Entry, source: Source, path: KeyPath, taken: frozenset[str]
) -> tuple[str, str]:
    """Return the subject of errors about a setting, and its key for ``--set``.

    Both refer to the ``supervision:`` block if the setting is taken from it, so that several stages raise the same
    error.

    Args:
        source: the config of the stage.
        path: key path of the setting in it.
        taken: the keys of the block that the stage takes.
    """
    key = key_of(stage.config.model_fields[str(path[0])])
    if key is not None and key in taken:
        return spec.supervision.subject((key,), KEY), f"{KEY}.{key}"
    return source.subject(path, f"stages.{entry.id}.with"), ".".join((entry.id, *map(str, path)))


def is_enabled(spec: Spec, entry: Entry, point: Point) -> bool:
    """Return ``enabled`` of a stage at a point.

    Raises:
        InvalidInput: neither true nor false.
    """
    value = interpolate(entry.part("enabled", True), _scope(spec, point), f"stages.{entry.id}.enabled").value
    word = str(value).strip().lower()
    if word not in ("true", "false"):
        raise entry.error("", ("enabled",), found=value, allowed="true or false")
    return word == "true"


def paths_in(config: StageConfig) -> Iterator[tuple[KeyPath, Path]]:
    """Yield key path and value of every `pathlib.Path` in a config, nested ones included."""
    yield from _paths(config.model_dump(), ())


def _scope(spec: Spec, point: Point) -> dict[str, Any]:
    return {"matrix": values_at(spec.axes, point), "data": spec.data, "env": os.environ, "seed": spec.seed}


def _paths(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Path]]:
    if isinstance(value, Path):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))
