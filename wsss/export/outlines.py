"""Outlines of regions as polygons: exact along pixel edges, or simplified within a tolerance.

Coordinates are pixels, x to the right, y down. (0, 0) is the upper left corner of the upper left pixel, and the pixel
in row r and column c is the square from (c, r) to (c + 1, r + 1): the polygon of an image of width W has the x
coordinates 0 and W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORNER = 2**0.5 / 4
"""Distance of a corner from the line through the midpoints of its two edges, in pixels."""

FINEST = 0.1
"""Smallest useful tolerance of the simplification."""

TINY = np.array([1e-7, 1e-7 * 2**0.5])
"""A shift that moves points off edges; its slope is irrational, so it is parallel to no edge."""

_STEP = np.array([1, 0, -1, 0]), np.array([0, 1, 0, -1])
"""x and y of the directions east, south, west, north (clockwise on the screen)."""


def outlines(region: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the outlines of one 4-connected region.

    Args:
        region: ``(H, W)`` bool, 4-connected.

    Returns:
        Rings ``(N, 2)`` of corners (x, y), not closed: the outer ring, clockwise on the screen, then the holes,
        counter-clockwise, ordered by their uppermost corners. No ring touches itself; rings may share corners.
    """
    edges, following = _linked_edges(region)
    rings = []
    left = np.ones(len(edges), bool)
    chain: list[int] = following.tolist()
    width = region.shape[1] + 1
    for start in range(len(edges)):
        if not left[start]:
            continue
        members = [start]
        while (edge := chain[members[-1]]) != start:
            members.append(edge)
        left[members] = False
        ring = edges[members]
        corner = ring % 4 != np.roll(ring, 1) % 4  # straight continuations have no corner
        vertices = ring[corner] // 4
        rings.append(np.stack([vertices % width, vertices // width], axis=1))
    # Edges are in reading order of their starts: the first is the uppermost, so it is on the outer ring.
    return rings


def _linked_edges(region: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the directed pixel edges with the region on their right, and the index of the next edge for each.

    An edge has the number 4 · (index of its start in the grid of corners) + direction. Where four edges meet, two
    pixels of the region touch at a corner, and the outline turns left, around the pixel outside. In a 4-connected
    region the two pixels outside belong to different rings, so no ring touches itself.
    """
    height, width = region.shape
    padded = np.pad(region, 1)
    above, below = padded[:-1, 1:], padded[1:, 1:]  # of the horizontal edge that starts at a corner, going east
    before, after = padded[1:, :-1], padded[1:, 1:]  # of the vertical edge that starts at a corner, going south
    leaves = np.zeros((height + 1, width + 1, 4), bool)
    leaves[:, :, 0] = below & ~above
    leaves[:, :, 1] = before & ~after
    leaves[:, 1:, 2] = (above & ~below)[:, :-1]
    leaves[1:, :, 3] = (after & ~before)[:-1]
    edges = np.flatnonzero(leaves)
    heads, directions = edges // 4, edges % 4
    heads = heads + _STEP[0][directions] + _STEP[1][directions] * (width + 1)
    out = leaves.reshape(-1, 4)[heads]
    rows = np.arange(len(edges))
    turned, straight = (directions + 3) % 4, directions
    chosen = np.where(out[rows, turned], turned, np.where(out[rows, straight], straight, (directions + 1) % 4))
    return edges, np.searchsorted(edges, heads * 4 + chosen)


def simplified(rings: list[NDArray[np.int64]], tolerance: float, *, overlap: float = 0.99) -> list[NDArray[np.float64]]:
    """Simplify the outlines of a region.

    The line through the midpoints of the pixel edges is simplified (Douglas and Peucker, 1973): on staircases it is
    straighter than the outline and unbiased. If the overlap with the region or its area changes too much, or the result
    touches itself, the tolerance is reduced, down to the exact outlines.

    Args:
        rings: result of `outlines`.
        tolerance: maximum distance of the corners of an exact outline from its simplified ring in pixels; 0: exact.
        overlap: minimum intersection over union with the region, by pixel centres; the area differs by at most
            1 − ``overlap`` of that of the region.

    Returns:
        The simplified rings ``(N, 2)`` float64, in the same order and orientation.
    """
    rest = tolerance - CORNER
    if rest <= FINEST:
        return [np.asarray(ring, np.float64) for ring in rings]
    origin = rings[0].min(0)
    exact = [np.asarray(ring - origin, np.float64) for ring in rings]
    width, height = (int(side) for side in exact[0].max(0))
    region, pixels = fill(exact, (height, width)), sum(map(area, exact))
    lines = [_midpoints(ring) for ring in exact]
    needed = [_needed(line) for line in lines]
    while rest > FINEST:
        short = [line[tolerances > rest] for line, tolerances in zip(lines, needed, strict=True)]
        if all(len(ring) > 2 and area(ring) * area(full) > 0 for ring, full in zip(short, exact, strict=True)):
            # Readers may assign a pixel with its centre on an edge to either side: it counts as wrong.
            first, second = (fill([ring + shift for ring in short], region.shape) for shift in (TINY, -TINY))
            same = (first & second & region).sum() >= overlap * (first | second | region).sum()
            if same and abs(sum(map(area, short)) - pixels) <= (1 - overlap) * pixels and not touching(short):
                return [ring + origin for ring in short]
        rest /= 1.5
    return [ring + origin for ring in exact]


def _midpoints(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the midpoints of the unit edges of a ring along pixel edges."""
    steps = np.roll(ring, -1, axis=0) - ring
    lengths = np.abs(steps).sum(1).astype(np.int64)
    edge = np.repeat(np.arange(len(ring)), lengths)
    along = np.arange(len(edge)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 0.5
    return ring[edge] + np.sign(steps)[edge] * along[:, None]


def _needed(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tolerance ``(N,)`` up to which Douglas and Peucker's method keeps each point of a closed line.

    The method splits a line at the point farthest from the segment between its ends, if that is farther than the
    tolerance. The closed line is cut at a topmost point and at the point farthest from it, which are always kept (inf).
    Values below `FINEST` are 0.
    """
    first = int(np.lexsort((ring[:, 0], ring[:, 1]))[0])
    x, y = np.roll(ring, -first, axis=0).T
    far = int(np.argmax((x - x[0]) ** 2 + (y - y[0]) ** 2))
    x, y = np.append(x, x[0]), np.append(y, y[0])
    needed = np.zeros(len(x))
    needed[[0, far, -1]] = np.inf
    parts = [(0, far, np.inf), (far, len(x) - 1, np.inf)]
    while parts:
        start, end, above = parts.pop()
        if end - start < 2:
            continue
        distances = _distances(x[start : end + 1], y[start : end + 1])
        split = int(distances.argmax())
        tolerance = min(float(distances[split]) ** 0.5, above)
        if tolerance > FINEST:
            needed[start + split] = tolerance
            parts += [(start, start + split, tolerance), (start + split, end, tolerance)]
    return np.roll(needed[:-1], first)


def _distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared distances of points from the segment between the first and the last of them."""
    along_x, along_y = x[-1] - x[0], y[-1] - y[0]
    to_x, to_y = x - x[0], y - y[0]
    length = along_x * along_x + along_y * along_y
    if length:
        share = ((to_x * along_x + to_y * along_y) / length).clip(0, 1)
        to_x, to_y = to_x - share * along_x, to_y - share * along_y
    squares: NDArray[np.float64] = to_x * to_x + to_y * to_y
    return squares


def touching(rings: list[NDArray[np.float64]]) -> bool:
    """Return whether two edges have a common point, except the corner between adjacent edges."""
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    sizes = np.array([len(ring) for ring in rings])
    offset = np.repeat(np.cumsum(sizes) - sizes, sizes)
    following = offset + (np.arange(len(start)) - offset + 1) % np.repeat(sizes, sizes)
    low, high = np.minimum(start, end), np.maximum(start, end)
    order = np.argsort(low[:, 0], kind="stable")
    # Pairs of edges with overlapping x ranges: edges sorted by left end, up to the right end of the first.
    count = np.searchsorted(low[order, 0], high[order, 0], side="right") - np.arange(len(order)) - 1
    first = np.repeat(np.arange(len(order)), count)
    other = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    first, other = order[first], order[other]
    near = (low[first, 1] <= high[other, 1]) & (low[other, 1] <= high[first, 1])
    near &= (following[first] != other) & (following[other] != first)
    first, other = first[near], other[near]
    a, b, c, d = start[first], end[first], start[other], end[other]
    apart = (_side(a, b, c) * _side(a, b, d) > 0) | (_side(c, d, a) * _side(c, d, b) > 0)
    return bool((~apart).any())


def _side(a: NDArray[np.float64], b: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the side of the line from a to b on which points are: the sign of the cross product."""
    along, to = b - a, point - a
    side: NDArray[np.float64] = np.sign(along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0])
    return side


def area(ring: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """Return the signed area of a ring in square pixels, positive if clockwise on the screen."""
    x, y = np.asarray(ring, np.float64).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def fill(rings: list[NDArray[np.float64]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centres are inside the rings by the even-odd rule, ``(H, W)`` bool.

    Args:
        rings: outer rings and holes, ``(N, 2)`` corners each.
        size: ``(height, width)``.
    """
    height, width = size
    flips = np.zeros((height, width + 1), np.int64)
    for ring in rings:
        start, end = np.asarray(ring, np.float64), np.roll(np.asarray(ring, np.float64), -1, axis=0)
        upper = np.where((start[:, 1] <= end[:, 1])[:, None], start, end)
        lower = np.where((start[:, 1] <= end[:, 1])[:, None], end, start)
        # An edge crosses row r if y = r + 0.5 is in [upper, lower).
        first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
        past = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64)
        count = past - first
        edge = np.repeat(np.arange(len(start)), count)
        row = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        along = (row + 0.5 - upper[edge, 1]) / (lower[edge, 1] - upper[edge, 1])
        x = upper[edge, 0] + along * (lower[edge, 0] - upper[edge, 0])
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.add.at(flips, (row, column), 1)
    inside: NDArray[np.bool_] = np.cumsum(flips, axis=1)[:, :width] % 2 == 1
    return inside
