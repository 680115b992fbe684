"""Drawing on the pixel grid: coverage of curves, strokes and filled shapes, ``(S, S)`` in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]
    Points = NDArray[np.float64]

SUBPIXEL = 4
"""Number of fractional bits in OpenCV's coordinates."""


def strokes(size: int, lines: Iterable[Points], width: float) -> Plane:
    """Return the coverage of open lines, each ``(N, 2)`` of x and y in pixels, drawn with a round pen."""
    import cv2

    # OpenCV's thick lines are about two pixels too wide, so use the distance from a thin line at twice the resolution.
    canvas = np.ones((2 * size, 2 * size), np.uint8)
    for line in lines:
        cv2.polylines(canvas, [_fixed(2 * line)], False, 0, 1, cv2.LINE_8, SUBPIXEL)
    if canvas.all():
        return np.zeros((size, size))
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    cover = np.clip(width - distance + 0.5, 0, 1)
    return np.asarray(cover.reshape(size, 2, size, 2).mean(axis=(1, 3)), np.float64)


def filled(size: int, shapes: Iterable[Points]) -> Plane:
    """Return the coverage of closed shapes, each ``(N, 2)`` of x and y in pixels."""
    import cv2

    canvas = np.zeros((size, size), np.uint8)
    for shape in shapes:
        cv2.fillPoly(canvas, [_fixed(shape)], 255, cv2.LINE_AA, SUBPIXEL)
    return canvas / 255.0


def smooth_line(points: Points, steps: int = 12) -> Points:
    """Return a Catmull–Rom spline through points, ``steps`` per segment."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    parts = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        parts.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*parts, points[-1:]])


def random_curve(
    rng: np.random.Generator, start: Points, heading: float, length: float, bend: float, count: int
) -> Points:
    """Return a random curve of ``count`` points from ``start`` that turns by ``bend`` radians (std) per step."""
    headings = heading + np.cumsum(rng.normal(0, bend, count - 1))
    steps = length / (count - 1) * np.column_stack([np.cos(headings), np.sin(headings)])
    return np.concatenate([start[None], start + np.cumsum(steps, axis=0)])


def leaf(centre: Points, length: float, width: float, heading: float) -> Points:
    """Return the outline of a pointed leaf from ``centre`` in direction ``heading``."""
    t = np.linspace(0, 1, 16)
    half = 0.5 * width * np.sin(math.pi * t**0.8)
    along = np.concatenate([t, t[::-1]]) * length
    across = np.concatenate([half, -half[::-1]])
    cos, sin = math.cos(heading), math.sin(heading)
    return centre + np.column_stack([along * cos - across * sin, along * sin + across * cos])


def disc(centre: Points, radius: float) -> Points:
    """Return 48 points on a circle."""
    angle = np.linspace(0, math.tau, 48)
    return centre + radius * np.column_stack([np.cos(angle), np.sin(angle)])


def without_specks(mask: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """Remove components (8-connected) of fewer than ``smallest`` pixels from a mask."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    kept = np.bincount(parts.ravel()) >= smallest
    kept[0] = False
    return np.asarray(kept[parts])


def without_pinholes(mask: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """Fill holes (4-connected, within the image) of fewer than ``smallest`` pixels in a mask."""
    from scipy import ndimage

    parts, _ = ndimage.label(~np.pad(mask, 1))  # a region at the image border is not a hole
    small = np.bincount(parts.ravel()) < smallest
    small[0] = False
    return np.asarray(mask | small[parts[1:-1, 1:-1]])


def _fixed(points: Points) -> NDArray[np.int32]:
    # Pixel centres are at .5 here, and at integers in OpenCV.
    return np.asarray(np.round((np.clip(points, -4e4, 4e4) - 0.5) * 2**SUBPIXEL), np.int32)
