"""Classes as JSON keeps them (in ``model.json`` and ``images.json``), validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsss.errors import listing
from wsss.io.rasters.label_masks import IGNORE

KEYS = ("names", "values", "other", "other_as")


def require_classes(
    stored: Mapping[str, Any],
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...], frozenset[int], int]:
    """Return names, values, other and other_as of `wsss.data.sample.Classes`.

    Raises:
        ValueError: begins with the key: a key is missing or of another type, a name or a value stands there twice, or
            the numbers of names and values differ.
    """
    missing = [key for key in KEYS if not isinstance(stored, Mapping) or key not in stored]
    if missing:
        raise ValueError(f"{missing[0]}: this key is required and missing")
    names = _names(stored["names"])
    lists = stored["values"]
    if not isinstance(lists, list) or len(lists) != len(names):
        found = len(lists) if isinstance(lists, list) else repr(lists)
        raise ValueError(f"values: expected {len(names)} lists, one for each name, got {found}")
    values = tuple(_values(one, f"values.{place}") for place, one in enumerate(lists))
    empty = [name for name, one in zip(names, values, strict=True) if not one]
    if empty:
        raise ValueError(f"values: no mask value for {listing(map(repr, empty))}")
    other = _values(stored["other"], "other")
    every = [value for one in (*values, other) for value in one]
    twice = sorted({value for value in every if every.count(value) > 1})
    if twice:
        raise ValueError(f"values: mask value {listing(twice)} stands for several classes; expected one each")
    if stored["other_as"] not in (0, IGNORE) or isinstance(stored["other_as"], bool):
        raise ValueError(f"other_as: expected 0 or {IGNORE}, got {stored['other_as']!r}")
    return names, values, frozenset(other), int(stored["other_as"])


def _names(stored: Any) -> tuple[str, ...]:
    if not isinstance(stored, list) or not all(isinstance(name, str) and name for name in stored):
        raise ValueError(f"names: expected a list of names, got {stored!r}")
    if not 2 <= len(stored) <= IGNORE:
        raise ValueError(f"names: expected the background and 1 to {IGNORE - 1} classes, got {len(stored)} names")
    twice = sorted({name for name in stored if stored.count(name) > 1})
    if twice:
        raise ValueError(f"names: expected each name once, got {listing(map(repr, twice))} several times")
    return tuple(stored)


def _values(stored: Any, key: str) -> tuple[int, ...]:
    whole = isinstance(stored, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in stored)
    if not whole or not all(0 <= one <= 255 for one in stored):
        raise ValueError(f"{key}: expected a list of mask values from 0 to 255, got {stored!r}")
    return tuple(stored)
