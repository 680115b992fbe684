"""Values in the JSON files of annotation tools, checked for their types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from wsss.data.importers.json.json_file import wrong_type

T = TypeVar("T")

MAX_SIDE = 1 << 20


def text(value: Any, where: str) -> str:
    """Return a non-empty string.

    Raises:
        InvalidInput: the value has another type, or is empty.
    """
    if not isinstance(value, str) or not value:
        raise wrong_type(value, where, "a name")
    return value


def number(value: Any, where: str) -> float:
    """Return a finite number.

    Raises:
        InvalidInput: the value has another type, or is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise wrong_type(value, where, "a finite number")
    return float(value)


def side(value: Any, where: str) -> int:
    """Return the width or height of an image.

    Raises:
        InvalidInput: not an integer of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
        raise wrong_type(value, where, "a number of pixels of at least 1")
    return value


def size_in(value: Mapping[str, Any], where: str, *, height: str, width: str) -> tuple[int, int] | None:
    """Return height and width of an image from two keys; ``None`` if both are missing.

    Raises:
        InvalidInput: one of them is missing, or is not a number of pixels.
    """
    if value.get(height) is None and value.get(width) is None:
        return None
    return side(value.get(height), f"{where}.{height}"), side(value.get(width), f"{where}.{width}")


def pairs(value: Any, where: str) -> list[tuple[float, float]]:
    """Return a list of points (x, y).

    Raises:
        InvalidInput: not a list of pairs of numbers.
    """
    if not isinstance(value, list) or not all(isinstance(point, list) and len(point) == 2 for point in value):
        raise wrong_type(value, where, "a list of points [x, y]")
    return [(number(x, where), number(y, where)) for x, y in value]


def all_of(values: Any, where: str, read: Callable[[Any, str], T]) -> list[T]:
    """Return the elements of a list, each read by a function of value and location.

    Raises:
        InvalidInput: not a list, or an element is invalid.
    """
    if not isinstance(values, list):
        raise wrong_type(values, where, "a list")
    return [read(value, f"{where}[{index}]") for index, value in enumerate(values)]
