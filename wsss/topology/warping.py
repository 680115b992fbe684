"""Homotopy warping: change one mask towards another, pixel by pixel, without changing its topology.

A pixel is *simple* if flipping it preserves the topology of the mask. This depends on its eight neighbours only (Kong
and Rosenfeld, "Digital topology: introduction and survey", 1989): exactly one component of the neighbouring foreground
and exactly one of the neighbouring background must touch the pixel.

Hu, "Structure-aware image segmentation with homotopy warping" (NeurIPS 2022) flips the simple pixels among those in
which two masks differ, nearest to the boundary first. The remaining pixels are where the topology differs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.topology.compiling import call, kernel
from wsss.topology.distance import squared_distances
from wsss.topology.kernels.image_keys import checked_connectivity, checked_masks


def warping_error_mask(pred: ArrayLike, gt: ArrayLike, *, connectivity: int = 4) -> NDArray[np.bool_]:
    """Return the pixels that remain different when each mask is warped towards the other: the topological errors.

    Args:
        pred: ``(H, W)`` mask, see `wsss.topology.betti_numbers`.
        gt: ``(H, W)`` mask of the same shape.
        connectivity: connectivity of the foreground, 4 or 8; the background, which includes the pixels outside the
            image, uses the other.

    Returns:
        ``(H, W)`` bool, a subset of the pixels in which the masks differ; symmetric in both.

    Raises:
        InvalidInput: the shapes differ, or a mask or the connectivity is invalid.

    Example:
        >>> from wsss.topology import warping_error_mask
        >>> warping_error_mask([[1, 1, 0, 1]], [[1, 1, 1, 1]]).tolist()  # the gap
        [[False, False, True, False]]
    """
    first, second, eight = _checked(pred, gt, connectivity)
    if np.array_equal(first, second):
        return np.zeros(first.shape, bool)
    return (_warped(first, second, eight) != second) | (_warped(second, first, eight) != first)


def warp(source: ArrayLike, target: ArrayLike, *, connectivity: int = 4) -> NDArray[np.bool_]:
    """Return ``source`` changed towards ``target`` by flipping simple points one after the other.

    Spurious foreground is flipped before missing foreground, and pixels nearer to the source's boundary first (by
    Euclidean distance, then row, then column), as in Hu's published code. That code visits each pixel once; here a
    pixel is visited again after a neighbour was flipped, so that none of the remaining differing pixels is simple. The
    order determines which pixels remain; finding the fewest would take exponential time.

    Args:
        source: ``(H, W)`` mask, see `wsss.topology.betti_numbers`.
        target: ``(H, W)`` mask of the same shape.
        connectivity: connectivity of the foreground, 4 or 8.

    Returns:
        ``(H, W)`` bool with the Betti numbers of the source.

    Raises:
        InvalidInput: see `warping_error_mask`.

    Example:
        >>> from wsss.topology import warp
        >>> warp([[1, 0, 0, 0]], [[1, 1, 1, 0]]).astype(int).tolist()
        [[1, 1, 1, 0]]
    """
    return _warped(*_checked(source, target, connectivity))


@lru_cache(2)
def simple_points(connectivity: int) -> NDArray[np.uint8]:
    """Return ``(256,)``: 1 for neighbourhoods of simple pixels.

    Bit k of the index is 1 if the k-th neighbour, in the order N, NE, E, SE, S, SW, W, NW, is foreground.

    Args:
        connectivity: connectivity of the foreground, 4 or 8.
    """
    table = np.zeros(256, np.uint8)
    for code in range(256):
        ring = [code >> k & 1 for k in range(8)]
        foreground = _touching(ring, 1, connectivity)
        table[code] = foreground == 1 and _touching(ring, 0, 12 - connectivity) == 1
    table.setflags(write=False)
    return table


_RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _touching(ring: list[int], value: int, connectivity: int) -> int:
    """Count the components of ``value`` around a pixel that touch it; a corner alone is not 4-connected to it."""
    waiting = {offset for offset, neighbour in zip(_RING, ring, strict=True) if neighbour == value}
    count = 0
    while waiting:
        component = [waiting.pop()]
        for row, column in component:
            near = {p for p in waiting if _adjacent(p[0] - row, p[1] - column, connectivity)}
            waiting -= near
            component += near
        count += any(_adjacent(row, column, connectivity) for row, column in component)
    return count


def _adjacent(down: int, across: int, connectivity: int) -> bool:
    return (abs(down) + abs(across) if connectivity == 4 else max(abs(down), abs(across))) == 1


def _warped(source: NDArray[np.bool_], target: NDArray[np.bool_], eight: bool) -> NDArray[np.bool_]:
    queue = _in_order(source, target)
    state, goal = np.pad(source, 1).view(np.uint8), np.pad(target, 1).view(np.uint8)
    call(_flip_simple, "uint8", state, goal, queue, simple_points(8 if eight else 4))
    return state[1:-1, 1:-1].view(bool)


def _in_order(source: NDArray[np.bool_], target: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the differing pixels as ``(n,)`` indices into the flattened image with a margin of one pixel."""
    width = source.shape[1]
    parts = []
    for mask in (source, ~source):
        differing = np.flatnonzero(mask & (source != target))
        distances = squared_distances(mask).ravel()[differing] if differing.size else differing
        pixels = differing[np.argsort(distances, kind="stable")]
        parts.append((pixels // width + 1) * (width + 2) + pixels % width + 1)
    return np.concatenate(parts)


@kernel
def _flip_simple(state, goal, queue, simple):
    """Flip the simple points among the pixels of the queue, in place, until none is left.

    Args:
        state: ``(H + 2, W + 2)`` uint8 of 0 and 1 whose border is 0.
        goal: the target, in the same form.
        queue: all differing pixels in order, used as a ring: the neighbours of a flipped pixel are appended again
            unless they are already waiting.
        simple: table of `simple_points`.
    """
    width = state.shape[1]
    now, then = state.ravel(), goal.ravel()
    around = np.array([-width, 1 - width, 1, 1 + width, width, width - 1, -1, -1 - width])
    waits = np.zeros(now.size, np.uint8)
    for pixel in queue:
        waits[pixel] = 1
    size, head, count = len(queue), 0, len(queue)
    while count > 0:
        pixel = queue[head]
        head = head + 1 if head + 1 < size else 0
        count -= 1
        waits[pixel] = 0
        code = 0
        for k in range(8):
            code |= now[pixel + around[k]] << k
        if simple[code] == 0:
            continue
        now[pixel] = then[pixel]
        for k in range(8):
            other = pixel + around[k]
            if now[other] != then[other] and waits[other] == 0:
                waits[other] = 1
                tail = head + count
                queue[tail if tail < size else tail - size] = other
                count += 1


def _checked(
    first: ArrayLike, second: ArrayLike, connectivity: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool]:
    return *checked_masks(first, second), checked_connectivity(connectivity)
