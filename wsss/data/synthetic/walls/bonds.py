"""Brick bonds: the layout of the bricks in a wall. Lengths are in millimetres, u to the right, v downwards.

Bonds have their names in masonry. A *stretcher* shows its long face (length × height), a *header* its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COURSED = ("running", "third", "stack", "flemish", "english", "monk", "wild")
BONDS = (*COURSED, "herringbone")


@dataclass(frozen=True)
class BrickSize:
    """Length of a stretcher, height of a brick, and width of the joints."""

    length: float
    height: float
    joint: float

    @property
    def header(self) -> float:
        """Width of a header: two headers and the joint between them have the length of a stretcher."""
        return (self.length - self.joint) / 2


@dataclass(frozen=True)
class Bricks:
    """The faces of bricks, joints left out.

    Args:
        faces: ``(N, 4)`` left, top, right, bottom.
        group: ``(N,)``; bricks with the same number have no mortar between them (a missing head joint).
        course: ``(N,)`` course of each brick; -1 in bonds without courses.
    """

    faces: NDArray[np.float64]
    group: NDArray[np.int64]
    course: NDArray[np.int64]


def lay(
    rng: np.random.Generator,
    bond: str,
    size: BrickSize,
    area: tuple[float, float, float, float],
    *,
    jitter: float = 0.0,
    missing: float = 0.0,
) -> Bricks:
    """Cover an area with bricks.

    Args:
        rng: random generator for the offset of the bond, the jitter and the missing joints.
        bond: one of `BONDS`.
        size: size of bricks and joints.
        area: left, top, right, bottom of the area.
        jitter: standard deviation of head joint positions and course heights, as a fraction of the joint width; clipped
            at 0.35, so that every joint keeps at least 0.3 of its width.
        missing: probability that a head joint is missing, so that its two bricks touch.

    Raises:
        ValueError: unknown bond.
    """
    if bond == "herringbone":
        return _herringbone(rng, size, area)
    if bond not in COURSED:
        raise ValueError(f"unknown bond; expected {', '.join(BONDS)}, got {bond!r}")
    left, top, right, bottom = area
    pitch = size.height + size.joint
    first = math.floor(top / pitch) - 1
    faces: list[NDArray[np.float64]] = []
    groups: list[NDArray[np.int64]] = []
    courses: list[NDArray[np.int64]] = []
    start, laid = rng.uniform(0, size.length + size.joint), 0
    for course in range(first, math.ceil(bottom / pitch) + 1):
        ends = _head_joints(rng, bond, course, size, left - start, right) + start
        ends = ends + _clipped_jitter(rng, ends.size, jitter * size.joint, size.joint)
        low, high = course * pitch + _clipped_jitter(rng, 2, jitter * size.joint, size.joint) + (0, size.height)
        joined = rng.random(ends.size - 2) < missing if ends.size > 2 else np.zeros(0, bool)
        number = laid + np.concatenate([[0], np.cumsum(~joined)])
        half = size.joint / 2
        lefts, rights = ends[:-1] + half, ends[1:] - half
        overlap = half / 2  # so that rough edges do not open a gap
        rights[:-1][joined], lefts[1:][joined] = ends[1:-1][joined] + overlap, ends[1:-1][joined] - overlap
        faces.append(np.column_stack([lefts, np.full_like(lefts, low), rights, np.full_like(lefts, high)]))
        groups.append(number)
        courses.append(np.full(lefts.size, course))
        laid = int(number[-1]) + 1
    return Bricks(np.concatenate(faces), np.concatenate(groups).astype(np.int64), np.concatenate(courses))


def _head_joints(
    rng: np.random.Generator, bond: str, course: int, size: BrickSize, left: float, right: float
) -> NDArray[np.float64]:
    """Return the centres of the head joints of a course, ascending, from before ``left`` to beyond ``right``."""
    stretcher, header = size.length + size.joint, size.header + size.joint
    if bond == "wild":
        return _wild(rng, stretcher, header, left, right)
    pattern, shift = _pattern(bond, course, stretcher, header)
    steps = np.cumsum([0.0, *pattern])
    period = steps[-1]
    first = math.floor((left - shift) / period) - 1
    count = math.ceil((right - left) / period) + 3
    starts = shift + period * np.arange(first, first + count)
    return np.append((starts[:, None] + steps[None, :-1]).ravel(), starts[-1] + period)


def _pattern(bond: str, course: int, stretcher: float, header: float) -> tuple[Sequence[float], float]:
    """Return the repeated lengths of a course, including joints, and its offset."""
    if bond in ("running", "third", "stack"):
        share = {"running": course % 2 / 2, "third": course % 3 / 3, "stack": 0.0}[bond]
        return (stretcher,), share * stretcher
    if bond == "flemish":  # a header is centred over each stretcher
        return (stretcher, header), (course % 2) * (stretcher + header) / 2
    if bond == "monk":  # two stretchers and a header
        return (stretcher, stretcher, header), (course % 2) * (2 * stretcher + header) / 2
    return ((header,), header / 2) if course % 2 else ((stretcher,), 0.0)  # english


def _wild(rng: np.random.Generator, stretcher: float, header: float, left: float, right: float) -> NDArray[np.float64]:
    """Return random head joints of stretchers, headers and three-quarter bricks, at most two headers in a row."""
    position = left - stretcher * (1 + rng.random())
    ends, headers = [position], 0
    while position < right + stretcher:
        kind = rng.choice(3, p=(0.6, 0.3, 0.1)) if headers < 2 else 0
        headers = headers + 1 if kind == 1 else 0
        position += (stretcher, header, 0.75 * stretcher)[kind]
        ends.append(position)
    return np.array(ends)


def _clipped_jitter(rng: np.random.Generator, count: int, sigma: float, joint: float) -> NDArray[np.float64]:
    return np.clip(rng.normal(0, 1, count) * sigma, -0.35 * joint, 0.35 * joint)


def _herringbone(rng: np.random.Generator, size: BrickSize, area: tuple[float, float, float, float]) -> Bricks:
    """Lay 2:1 bricks as diagonal herringbone: dominoes on a grid of headers.

    Cell (x, y) is the left half of a horizontal brick if x − y ≡ 0 (mod 4), and the upper half of a vertical one if
    x − y ≡ 3.
    """
    cell = size.header + size.joint
    left, top, right, bottom = area
    shift = rng.uniform(0, cell, 2)
    x, y = np.meshgrid(
        np.arange(math.floor(left / cell) - 3, math.ceil(right / cell) + 3),
        np.arange(math.floor(top / cell) - 3, math.ceil(bottom / cell) + 3),
    )
    kind = (x - y) % 4
    faces = []
    for wanted, width, height in ((0, 2, 1), (3, 1, 2)):
        u, v = x[kind == wanted] * cell - shift[0], y[kind == wanted] * cell - shift[1]
        half = size.joint / 2
        faces.append(np.column_stack([u + half, v + half, u + width * cell - half, v + height * cell - half]))
    joined = np.concatenate(faces)
    return Bricks(joined, np.arange(len(joined)), np.full(len(joined), -1))
