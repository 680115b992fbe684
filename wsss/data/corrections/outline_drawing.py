"""Drawing of polygons, lines, points, boxes and ellipses as regions of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Region = NDArray[np.bool_]

Size = tuple[int, int]
Points = Sequence[tuple[float, float]]

MAX_COORDINATE = 1e7
"""Coordinates beyond this are errors."""


def polygon(size: Size, rings: Sequence[Points]) -> Region:
    """Return the pixels whose centres lie inside an odd number of closed rings of corners (x, y).

    A ring inside another one is therefore a hole.

    Raises:
        ValueError: a ring has fewer than three corners, a coordinate is out of range, or all are outside the image.
    """
    height, width = size
    crossings = np.zeros((height, width + 1), np.int32)
    checked = [_checked(ring, least=3) for ring in rings]
    if checked:
        _require_inside(size, np.concatenate(checked))
    for corners in checked:
        for (x, y), (next_x, next_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if y == next_y:
                continue
            low, high = min(y, next_y), max(y, next_y)
            # centres of rows with low ≤ centre < high, so that a corner counts for one of its edges
            rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(height, int(np.ceil(high - 0.5))))
            at = x + (rows + 0.5 - y) / (next_y - y) * (next_x - x)
            columns = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)
            np.add.at(crossings, (rows, columns), 1)
    inside: Region = np.cumsum(crossings, axis=1)[:, :width] % 2 == 1
    return inside


def union(polygons: Iterable[Sequence[Points]], size: Size) -> Region:
    """Return the pixels inside any of the polygons, each a list of rings; see `polygon`."""
    region = np.zeros(size, bool)
    for rings in polygons:
        region |= polygon(size, rings)
    return region


def line(size: Size, points: Points, width: float) -> Region:
    """Return the pixels whose centres are within half a width of a line through points, or of a single point.

    Raises:
        ValueError: no point, a coordinate is out of range, or the line is outside the image.
    """
    corners = _checked(points, least=1)
    _require_inside(size, corners, width / 2)
    region = np.zeros(size, bool)
    for first, last in zip(corners, corners[1:] if len(corners) > 1 else corners, strict=False):
        _add_segment(region, first, last, width / 2)
    return region


def dots(size: Size, points: Points, width: float) -> Region:
    """Return the pixels whose centres are within half a width of one of the points; see `line`."""
    region = np.zeros(size, bool)
    checked = _checked(points, least=1)
    _require_inside(size, checked, width / 2)
    for point in checked:
        _add_segment(region, point, point, width / 2)
    return region


def ellipse(size: Size, centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> Region:
    """Return the pixels whose centres lie inside an ellipse, rotated clockwise about its centre.

    Raises:
        ValueError: a radius is not above 0, a number is out of range, or the ellipse is outside the image.
    """
    checked = _checked([centre, radii], least=2)
    if min(radii) <= 0:
        raise ValueError("an ellipse without an area")
    _require_inside(size, checked[:1], max(radii))
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = columns + 0.5 - centre[0], rows + 0.5 - centre[1]
    turn = np.deg2rad(degrees)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    inside: Region = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1
    return inside


def placed(size: Size, pixels: Region, top: int, left: int, *, cut: bool = False) -> Region:
    """Return a mask of part of the image as one of the whole image.

    Args:
        cut: cut the part off at the borders of the image.

    Raises:
        ValueError: the part extends beyond the image or, with ``cut``, lies outside it.
    """
    height, width = pixels.shape
    bottom, right = top + height, left + width
    if cut:
        _require_inside(size, np.asarray([(left + 0.5, top + 0.5), (right - 0.5, bottom - 0.5)]))
    elif min(left, top) < 0 or bottom > size[0] or right > size[1]:
        raise ValueError(
            f"a mask of {width}×{height} at ({left}, {top}) extends beyond the image of {size[1]}×{size[0]}"
        )
    region = np.zeros(size, bool)
    first = max(0, top), max(0, left)
    region[first[0] : max(0, bottom), first[1] : max(0, right)] = pixels[
        first[0] - top : size[0] - top, first[1] - left : size[1] - left
    ]
    return region


def corners_of_box(left: float, top: float, width: float, height: float, degrees: float = 0.0) -> Points:
    """Return the four corners of a box, rotated clockwise about its upper left corner."""
    turn = np.deg2rad(degrees)
    along, down = (np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))
    steps = ((0, 0), (width, 0), (width, height), (0, height))
    return [(left + a * along[0] + b * down[0], top + a * along[1] + b * down[1]) for a, b in steps]


def corners_of_centred_box(left: float, top: float, width: float, height: float, degrees: float) -> Points:
    """Return the four corners of a box, rotated clockwise about its centre, as CVAT does."""
    if degrees == 0:  # exact: rounding errors would put an edge that passes through pixel centres on either side
        return corners_of_box(left, top, width, height)
    turn = np.deg2rad(degrees)
    x, y = left + width / 2, top + height / 2
    halves = ((-width, -height), (width, -height), (width, height), (-width, height))
    return [
        (x + (a * np.cos(turn) - b * np.sin(turn)) / 2, y + (a * np.sin(turn) + b * np.cos(turn)) / 2)
        for a, b in halves
    ]


def _add_segment(region: Region, first: NDArray[np.float64], last: NDArray[np.float64], radius: float) -> None:
    """Mark the pixels whose centres are within ``radius`` of a segment, and at least the pixel of each end."""
    height, width = region.shape
    for x, y in (first, last):
        if 0 <= x < width and 0 <= y < height:
            region[int(y), int(x)] = True
    low = np.floor(np.minimum(first, last) - radius).astype(int).clip(0, (width, height))
    high = np.ceil(np.maximum(first, last) + radius).astype(int).clip(0, (width, height))
    rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]]
    x, y = columns + 0.5 - first[0], rows + 0.5 - first[1]
    step = last - first
    length = float(step @ step)
    share = np.clip((x * step[0] + y * step[1]) / length, 0, 1) if length else np.zeros(x.shape)
    near = (x - share * step[0]) ** 2 + (y - share * step[1]) ** 2 <= radius**2
    region[low[1] : high[1], low[0] : high[0]] |= near


def _require_inside(size: Size, points: NDArray[np.float64], radius: float = 0.0) -> None:
    """Require that a box around points (x, y) touches the image."""
    (left, top), (right, bottom) = points.min(axis=0) - radius, points.max(axis=0) + radius
    if right < 0 or bottom < 0 or left > size[1] or top > size[0]:
        raise ValueError(f"the region lies outside the image of {size[1]}×{size[0]}")


def _checked(points: Points, *, least: int) -> NDArray[np.float64]:
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if len(corners) < least:
        raise ValueError(f"expected at least {least} points, got {len(corners)}")
    if not np.isfinite(corners).all() or np.abs(corners).max() > MAX_COORDINATE:
        raise ValueError("a coordinate is out of range")
    return corners
