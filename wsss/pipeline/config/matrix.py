"""The matrix: axes, their values, and the names of the stage instances they make."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wsss.errors import InvalidInput, closest, listing
from wsss.pipeline.config.source import Source

Axes = Mapping[str, Mapping[str, Any]]
"""Axis → name of a value (as it stands in ids) → the value."""

Point = Mapping[str, str]
"""Axis → name of a value: one cell of (a part of) the matrix."""

LONGEST = 40
"""Characters of a value's name: names of several axes have to fit into one folder's name."""

MAX_INSTANCES = 10_000
"""Instances of all stages of a pipeline; far more than any run could finish."""

_AXIS = re.compile(r"[A-Za-z_]\w*\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


def read_axes(source: Source) -> Axes:
    """Check ``matrix:`` and name the values of its axes.

    An axis is a list of scalars (each named after itself) or a mapping of name → any value. Characters that a shell
    might touch become ``-`` in a name.

    Raises:
        InvalidInput: an empty axis, a value that is no scalar, two values with one name, a bad axis name.
    """
    return {str(axis): _read_axis(source.at((axis,)), str(axis)) for axis in source.value}


def is_choice(over: Source) -> bool:
    """Tell whether something to be laid on a pipeline is a list for an axis, and nothing else."""
    axes = over.value.get("matrix")
    return (
        len(over.value) == 1 and isinstance(axes, Mapping) and all(isinstance(value, list) for value in axes.values())
    )


def choose_values(base: Source, over: Source) -> tuple[Source, Source]:
    """Take a list of names that is laid on an axis of named values for a choice of those.

    A list in which no name is known is something else: values to replace them.

    Args:
        base: a pipeline.
        over: what is to be merged with it.

    Returns:
        Both, so that merging them leaves the chosen values, in the order of the list.

    Raises:
        InvalidInput: some of the names are known, others aren't; or one comes twice.
    """
    axes, chosen = base.value.get("matrix"), over.value.get("matrix")
    if not isinstance(axes, Mapping) or not isinstance(chosen, Mapping):
        return base, over
    kept, wanted = dict(axes), dict(chosen)
    for axis, names in chosen.items():
        values = axes.get(axis)
        if not isinstance(names, list) or not isinstance(values, Mapping):
            continue
        known = {str(name): name for name in values}
        unknown = [name for name in map(str, names) if name not in known]
        if not names or len(unknown) == len(names):
            continue
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if unknown or twice:
            place = ": ".join(part for part in (over.locate(("matrix", axis)), f"matrix.{axis}") if part)
            if twice:
                raise InvalidInput(f"{place}: {listing(twice)} is named twice.")
            raise InvalidInput(
                f"{place}: no value is called {listing(unknown)}; allowed are {listing(known, limit=40)}"
                f"{closest(unknown[0], known)}"
            )
        wanted[axis] = {known[name]: values[known[name]] for name in map(str, names)}
        kept[axis] = {}  # in its place, since ids name the axes in their order
    return Source({**base.value, "matrix": kept}, base.places), Source({**over.value, "matrix": wanted}, over.places)


def points(axes: Axes, over: Sequence[str]) -> Iterator[Point]:
    """Yield every combination of the values of the axes ``over``, the last axis fastest."""
    for names in itertools.product(*(axes[axis] for axis in over)):
        yield dict(zip(over, names, strict=True))


def count_points(axes: Axes, over: Sequence[str]) -> int:
    """Return how many combinations `points` yields."""
    return math.prod(len(axes[axis]) for axis in over)


def values_at(axes: Axes, point: Point) -> dict[str, Any]:
    """Return the values (not their names) at a point."""
    return {axis: axes[axis][name] for axis, name in point.items()}


def instance_id(stage: str, point: Point) -> str:
    """Return ``segment@loss=dice,seed=0``, or just ``segment`` for a stage that doesn't fan out."""
    return stage + ("@" + ",".join(f"{axis}={name}" for axis, name in point.items()) if point else "")


def read_instance_id(id: str) -> tuple[str, Point]:
    """Return stage and point of what `instance_id` made; any other name is a stage at no point."""
    stage, at, rest = id.partition("@")
    pairs = [part.partition("=") for part in rest.split(",")]
    point = {axis: name for axis, _, name in pairs}
    return (stage, point) if at and stage and instance_id(stage, point) == id else (id, {})


def agree(one: Point, other: Point) -> bool:
    """Tell whether two points have the same values on the axes they share."""
    return all(other.get(axis, name) == name for axis, name in one.items())


def _read_axis(source: Source, axis: str) -> dict[str, Any]:
    place = ": ".join(part for part in (source.locate(()), f"matrix.{axis}") if part)
    if not _AXIS.match(axis):
        raise InvalidInput(f"{place}: the name of an axis has letters, digits and _ only; found {axis!r}.")
    values = source.value
    if isinstance(values, Mapping):
        named = [(str(name), value) for name, value in values.items()]
    elif isinstance(values, list):
        for value in values:
            if isinstance(value, Mapping | list):
                raise InvalidInput(
                    f"{place}: a list holds scalars only; found {value!r}.",
                    hint=f"Name such values: {axis}: {{first: {value!r}, …}}.",
                )
        named = [(_scalar_name(value), value) for value in values]
    else:
        raise InvalidInput(f"{place}: found {values!r}; an axis is a list of scalars or a mapping of name → value.")
    if not named:
        raise InvalidInput(f"{place}: the axis has no values.")
    result: dict[str, Any] = {}
    for name, value in named:
        safe = _UNSAFE.sub("-", name)
        if len(safe) > LONGEST:
            raise InvalidInput(
                f"{place}: {name!r} is too long to stand in the name of a folder (at most {LONGEST} characters).",
                hint=f"Name the values: {axis}: {{short: {value!r}, …}}.",
            )
        if not safe or safe in result:
            raise InvalidInput(f"{place}: two values are called {safe!r} (found {value!r}); names have to differ.")
        result[safe] = value
    return result


def _scalar_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)
