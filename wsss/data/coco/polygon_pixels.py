"""Pixels inside a polygon, exactly as in the COCO API, so that scores are comparable with published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 5
"""Corners are rounded to this fraction of a pixel."""

LEAST = 6
"""Minimum number of coordinates of a polygon; fewer enclose no area."""


def polygon_pixels(ring: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels inside a polygon.

    The rule is that of ``rleFrPoly`` in the COCO API (Lin & Dollár, ``maskApi.c``): the outline is drawn on a grid five
    times as fine, and each of its crossings of the centre line of a column of pixels toggles the pixels below.

    Args:
        ring: ``(N, 2)`` corners (x, y) in pixels, N ≥ 3, at most one image side outside of the image.
        size: height and width.

    Returns:
        ``(H, W)`` bool.

    Raises:
        ValueError: a corner is farther away, or not finite.
    """
    height, width = size
    far = max(size)
    if not ((ring >= -far) & (ring <= 2 * far)).all():  # false for NaN; a long outline would take much memory
        raise ValueError(f"a corner is far outside the image of {width}×{height}")
    columns, rows = _crossings(*_outline(np.trunc(SCALE * ring + 0.5).astype(np.int64)), size)
    inside = np.zeros(height * width, np.bool_)
    if columns.size:
        first, last = int(columns.min()) * height, (int(columns.max()) + 1) * height
        toggled, times = np.unique(columns * height + rows - first, return_counts=True)
        toggles = np.zeros(last - first + 1, np.uint8)
        toggles[toggled] = times % 2
        # Sums may overflow, since only their parity counts and 256 is even. Bytes take an eighth of the memory.
        inside[first:last] = np.cumsum(toggles[:-1], dtype=np.uint8) % 2 == 1
    return inside.reshape(size, order="F")


def _outline(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the points (x, y) of the outline on the fine grid, in order."""
    step = np.roll(corners, -1, axis=0) - corners
    lengths = np.abs(step).max(axis=1)
    kept = lengths > 0
    starts, step, lengths = corners[kept], step[kept], lengths[kept]
    edge = np.repeat(np.arange(len(lengths)), lengths + 1)
    along = np.arange(len(edge)) - np.repeat(np.cumsum(lengths + 1) - (lengths + 1), lengths + 1)
    flat = np.abs(step[:, 0]) >= np.abs(step[:, 1])  # x advances by one, otherwise y
    major, minor = (np.where(flat, step[:, i], step[:, 1 - i]) for i in (0, 1))
    # An edge is drawn in the direction of its increasing coordinate, which decides how halves are rounded.
    back = major < 0
    first = np.where(back[:, None], starts + step, starts)
    first_major, first_minor = (np.where(flat, first[:, i], first[:, 1 - i]) for i in (0, 1))
    slope = np.where(back, -minor, minor) / lengths
    count = np.where(back[edge], lengths[edge] - along, along)
    at_major = first_major[edge] + count
    at_minor = np.trunc(first_minor[edge] + slope[edge] * count + 0.5).astype(np.int64)
    return np.where(flat[edge], at_major, at_minor), np.where(flat[edge], at_minor, at_major)


def _crossings(
    x: NDArray[np.int64], y: NDArray[np.int64], size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return column and row (0 … height) of each crossing of the centre line of a column."""
    height, width = size
    moved = np.flatnonzero(np.diff(x))
    before, after = x[moved], x[moved + 1]
    column = (np.where(after < before, after, after - 1) + 0.5) / SCALE - 0.5
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    row = (np.minimum(y[moved], y[moved + 1])[kept] + 0.5) / SCALE - 0.5
    return column[kept].astype(np.int64), np.ceil(np.clip(row, 0, height)).astype(np.int64)
