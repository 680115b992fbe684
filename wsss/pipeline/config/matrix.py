"""The matrix: axes, their values, and the names of the stage instances they produce."""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.io.text.instance_ids import Point
from wsss.pipeline.config.interpolate import first_expression
from wsss.pipeline.config.source import Source

Axes = Mapping[str, Mapping[str, Any]]
"""Axis → name of a value (as used in ids) → the value."""

LONGEST = 40
"""Maximum length of a value's name in characters: names of several axes have to fit into one folder name."""

MAX_INSTANCES = 10_000
"""Maximum number of instances of all stages of a pipeline."""

_AXIS = re.compile(r"[A-Za-z_]\w*\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


def read_axes(source: Source) -> Axes:
    """Validate ``matrix:`` and name the values of its axes.

    An axis is a list of scalars (each named after itself) or a mapping of name → any value. Characters that are special
    to a shell become ``-`` in a name.

    Raises:
        InvalidInput: an empty axis, an expression, a value in a list that is not a scalar, two values with one name, an
            invalid axis name.
    """
    return {str(axis): _read_axis(source.at((axis,)), str(axis)) for axis in source.value}


def is_selection(override: Source) -> bool:
    """Return whether an override consists of lists for axes and nothing else."""
    axes = override.value.get("matrix")
    only_lists = isinstance(axes, Mapping) and all(isinstance(value, list) for value in axes.values())
    return len(override.value) == 1 and only_lists


def select_values(base: Source, override: Source) -> tuple[Source, Source]:
    """Treat a list of names for an axis of named values as a selection of these values.

    A list in which no name is known or similar to a known one is not a selection: it replaces the values.

    Args:
        base: a pipeline.
        override: a layer to merge into it.

    Returns:
        Both, changed so that merging them leaves the selected values, in the order of the list.

    Raises:
        InvalidInput: some names are known (or similar to a known one) and others are not, or a name is repeated.
    """
    axes, lists = base.value.get("matrix"), override.value.get("matrix")
    if not isinstance(axes, Mapping) or not isinstance(lists, Mapping):
        return base, override
    base_axes, override_axes = dict(axes), dict(lists)
    for axis, names in lists.items():
        values = axes.get(axis)
        if not isinstance(names, list) or not isinstance(values, Mapping):
            continue
        known = {str(name): name for name in values}
        unknown = [name for name in map(str, names) if name not in known]
        if len(unknown) == len(names) and not any(_misspelled(name, known) for name in unknown):
            continue
        subject = override.subject(("matrix", axis))
        if unknown:
            raise InvalidInput("unknown value", subject=subject, found=unknown[0], allowed=known)
        repeated = sorted({str(name) for name in names if names.count(name) > 1})
        if repeated:
            raise InvalidInput(f"duplicate {listing(repeated)}", subject=subject)
        override_axes[axis] = {known[name]: values[known[name]] for name in map(str, names)}
        base_axes[axis] = {}  # keeps its position: ids name the axes in their order
    return base.with_value({**base.value, "matrix": base_axes}), override.with_value(
        {**override.value, "matrix": override_axes}
    )


def _misspelled(name: str, known: Iterable[str]) -> bool:
    """Return whether a name without digits is probably a misspelling of a known one, not a new value.

    A misspelling has the letters in a different order, or one wrong letter in ten: ``cbdice`` is not one of ``cldice``.
    """
    if any(map(str.isdigit, name)):
        return False
    swapped = any(sorted(name) == sorted(one) for one in known)
    return swapped or bool(difflib.get_close_matches(name, list(known), n=1, cutoff=0.88))


def points(axes: Axes, over: Sequence[str]) -> Iterator[Point]:
    """Yield every combination of the values of the axes ``over``, the last axis fastest."""
    for names in itertools.product(*(axes[axis] for axis in over)):
        yield dict(zip(over, names, strict=True))


def count_points(axes: Axes, over: Sequence[str]) -> int:
    """Return the number of combinations that `points` yields."""
    return math.prod(len(axes[axis]) for axis in over)


def values_at(axes: Axes, point: Point) -> dict[str, Any]:
    """Return the values (not their names) at a point."""
    return {axis: axes[axis][name] for axis, name in point.items()}


def agree(first: Point, other: Point) -> bool:
    """Return whether two points have the same values on the axes they share."""
    return all(other.get(axis, name) == name for axis, name in first.items())


def _read_axis(source: Source, axis: str) -> dict[str, Any]:
    subject = source.subject(where=f"matrix.{axis}")
    if not _AXIS.match(axis):
        raise InvalidInput(subject=subject, found=axis, allowed="a name of letters, digits and _")
    expression = first_expression(source.value)
    if expression is not None:
        raise InvalidInput(
            "expressions are not replaced in values of the matrix",
            subject=subject,
            found=expression,
            allowed="values without ${{ … }}",
            hint="Use the expression in a setting of a stage, or pass the values: --set 'matrix." + axis + "=[…]'.",
        )
    named = _named_values(source.value, axis, subject)
    if not named:
        raise InvalidInput("the axis has no values", subject=subject)
    result: dict[str, Any] = {}
    for name, value in named:
        safe = _UNSAFE.sub("-", name)
        if len(safe) > LONGEST:
            raise InvalidInput(
                "too long for a folder name",
                subject=subject,
                found=name,
                allowed=f"a name of at most {LONGEST} characters",
                hint=f"Name the values: {axis}: {{short: {value!r}, …}}.",
            )
        if not safe or safe in result:
            raise InvalidInput(f"two values are called {safe!r}", subject=subject, found=value, allowed="unique names")
        result[safe] = value
    return result


def _named_values(values: Any, axis: str, subject: str) -> list[tuple[str, Any]]:
    if isinstance(values, Mapping):
        return [(str(name), value) for name, value in values.items()]
    if not isinstance(values, list):
        raise InvalidInput(subject=subject, found=values, allowed="a list of scalars or a mapping of name → value")
    for value in values:
        if isinstance(value, Mapping | list):
            hint = f"Name such values: {axis}: {{first: {value!r}, …}}."
            raise InvalidInput(subject=subject, found=value, allowed="scalars in a list", hint=hint)
    return [(_scalar_name(value), value) for value in values]


def _scalar_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)
