"""Pairs of nearby elements of a grid, and the elements on the path between them.

As in IRN (Ahn, Cho & Kwak, CVPR 2019): a pair is closer than the radius, and its path consists of the elements within
its bounding box whose distance from the line through both is below 1, both ends included.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

Offset = tuple[int, int]
"""Rows down and columns to the right."""


@dataclass(frozen=True)
class Step:
    """A direction and distance between two elements.

    Args:
        offset: from the first element to the second.
        path: offsets from the first element to all elements on the path.
    """

    offset: Offset
    path: tuple[Offset, ...]


@cache
def steps(radius: int) -> tuple[Step, ...]:
    """Return one step per unordered pair of elements closer than ``radius``: 34 for a radius of 5."""
    reach = range(1 - radius, radius)
    half = [(down, right) for down in range(radius) for right in reach if down > 0 or right > 0]
    return tuple(Step(offset, _path(*offset)) for offset in half if offset[0] ** 2 + offset[1] ** 2 < radius**2)


def first_and_second(size: Offset, offset: Offset) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return index ranges of the first and of the second elements of all pairs in a grid.

    Args:
        size: height and width of the grid.
        offset: from the first element to the second; may be longer than the grid, which leaves empty ranges.
    """
    pairs = [_range(length, shift) for length, shift in zip(size, offset, strict=True)]
    (rows, rows_second), (columns, columns_second) = pairs
    return (rows, columns), (rows_second, columns_second)


def _range(length: int, shift: int) -> tuple[slice, slice]:
    low, high = max(0, -shift), max(0, length - max(0, shift))
    high = max(low, high)
    return slice(low, high), slice(low + shift, high + shift)


def _path(down: int, right: int) -> tuple[Offset, ...]:
    rows, columns = range(min(0, down), max(0, down) + 1), range(min(0, right), max(0, right) + 1)
    squared = down**2 + right**2
    return tuple((row, column) for row in rows for column in columns if (right * row - down * column) ** 2 < squared)
