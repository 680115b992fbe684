"""Exact Euclidean distances of foreground pixels to the background.

Meijster, Roerdink and Hesselink, "A general algorithm for computing distance transforms in linear time" (2000): first
the distance to the background within each column, then, along each row, the lower envelope of the parabolas on these.
Runs of foreground are processed one by one, since no parabola from beyond the end of a run reaches into it.

Four times as fast as SciPy's transform, and exact where OpenCV's is not: `benchmarks/distances.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.topology.compiling import call, kernel
from wsss.topology.kernels.image_keys import checked_mask


def distance_transform(mask: ArrayLike) -> NDArray[np.float32]:
    """Return each foreground pixel's Euclidean distance to the nearest background pixel.

    In a mask without background, the pixels around the image are background (undefined in SciPy).

    Args:
        mask: ``(H, W)``, see `wsss.topology.betti_numbers`.

    Returns:
        ``(H, W)`` float32 in pixels: at least 1 in the foreground, 0 in the background.

    Raises:
        InvalidInput: not a two-dimensional mask with pixels.

    Example:
        >>> from wsss.topology import distance_transform
        >>> distance_transform([[0, 1, 1, 1, 0]]).tolist()
        [[0.0, 1.0, 2.0, 1.0, 0.0]]
    """
    return np.sqrt(squared_distances(mask), dtype=np.float32)


def squared_distances(mask: ArrayLike) -> NDArray[np.int32]:
    """Return the squares of `distance_transform`, ``(H, W)`` int32, for exact comparisons."""
    checked = checked_mask(mask, "mask").view(np.uint8)
    squared = np.empty(checked.shape, np.int32)
    call(_squared_distances, "uint8", checked, squared)
    return squared


@kernel
def _squared_distances(mask, squared):
    rows, columns = mask.shape
    heights = np.empty((rows, columns), np.int32)
    if not _along_columns(mask, heights):
        for r in range(rows):
            for c in range(columns):
                nearest = min(min(r + 1, rows - r), min(c + 1, columns - c))
                squared[r, c] = nearest * nearest
        return
    sites, starts = np.empty(columns, np.int64), np.empty(columns, np.int64)
    for r in range(rows):
        first = -1  # start of a run of foreground
        for c in range(columns):
            if heights[r, c] == 0:
                squared[r, c] = 0
                if first >= 0:
                    _along_row(heights[r], squared[r], max(first - 1, 0), c + 1, sites, starts)
                    first = -1
            elif first < 0:
                first = c
        if first >= 0:
            _along_row(heights[r], squared[r], max(first - 1, 0), columns, sites, starts)


@kernel
def _along_columns(mask, heights):
    """Write distances to the background within each column; return whether the mask has background.

    In columns without background they exceed every distance in the image.
    """
    rows, columns = mask.shape
    far = rows + columns
    foreground = 0
    for c in range(columns):
        heights[0, c] = far if mask[0, c] else 0
    for r in range(1, rows):
        for c in range(columns):
            heights[r, c] = min(heights[r - 1, c] + 1, far) if mask[r, c] else 0
    for r in range(rows - 2, -1, -1):
        for c in range(columns):
            heights[r, c] = min(heights[r, c], heights[r + 1, c] + 1)
    for r in range(rows):
        for c in range(columns):
            foreground += mask[r, c]
    return foreground < rows * columns


@kernel
def _along_row(heights, squared, begin, end, sites, starts):
    """Write ``min_i (c − i)² + heights[i]²`` for ``begin ≤ c < end``, over i in the same range.

    ``sites`` and ``starts`` are scratch space: the columns whose parabolas are lowest somewhere, and from where on.
    """
    last = 0
    sites[0], starts[0] = begin, begin
    for c in range(begin + 1, end):
        own = np.int64(heights[c]) ** 2
        while last >= 0:
            start, site = starts[last], sites[last]
            if (start - site) ** 2 + np.int64(heights[site]) ** 2 <= (start - c) ** 2 + own:
                break
            last -= 1
        if last < 0:
            last = 0
            sites[0] = c  # starts[0] is begin
            continue
        site = sites[last]
        from_here = 1 + (c * c - site * site + own - np.int64(heights[site]) ** 2) // (2 * (c - site))
        if from_here < end:
            last += 1
            sites[last], starts[last] = c, from_here
    for c in range(end - 1, begin - 1, -1):
        site = sites[last]
        squared[c] = (c - site) ** 2 + np.int64(heights[site]) ** 2
        if c == starts[last]:
            last -= 1
