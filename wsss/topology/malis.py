"""Critical pixels for the separation and the connectivity of background regions (MALIS on a distance map).

MALIS (Turaga et al., "Maximin affinity learning of image segmentation", NeurIPS 2009): two pixels are connected as well
as the worst pixel of the best path between them, the *critical pixel* of the pair. Here the values are predicted
distances to a structure, and the regions are separated by the true structure. Kruskal's algorithm visits pixels in
descending order; a pixel that joins two components is critical for all pairs between them. A window with millions of
pairs thus costs one sort.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.errors import InvalidInput, Verbatim
from wsss.topology.compiling import call, kernel
from wsss.topology.kernels.image_keys import as_array, checked_count
from wsss.topology.kernels.unionfind import find


class CriticalPixels(NamedTuple):
    """For each pixel, the fraction of the pairs of pixels of its window for which it is critical.

    Example:
        >>> import numpy as np
        >>> from wsss.topology import critical_pixels
        >>> true = np.array([[2.0, 1.0, 0.0, 1.0, 2.0]])
        >>> critical_pixels(true, true, margin=0.5, min_distance=2).between.sum().item()
        1.0
    """

    between: NDArray[np.float64]
    """``(H, W)``, of pairs in separate regions; the sum over a window is 1, or 0 without such pairs."""
    within: NDArray[np.float64]
    """``(H, W)``, of pairs in one region, both at least ``min_distance`` from the structure; the same sums."""


def critical_pixels(
    predicted: ArrayLike,
    true: ArrayLike,
    *,
    window: int = 64,
    margin: float = 5.0,
    min_distance: float = 10.0,
    keep_gaps: bool = True,
) -> CriticalPixels:
    """Return the critical pixels of a predicted distance map, window by window.

    The true distances divide a window into *regions*, the 4-connected components of pixels farther than ``margin`` from
    the structure, and the zone between them. Paths are 4-connected and stay in their window.

    - ``between``: pairs of regions separated by the structure itself; regions on both sides of a gap of the structure
      are one unless ``keep_gaps`` is false. Only predictions in the zone count: the critical pixel is the one with the
      smallest prediction on the best path between two regions, and should be structure.
    - ``within``: paths inside one region, between pixels at least ``min_distance`` from the structure. The predicted
      distance of the critical pixel should be the true one.

    Of equal predictions, the first in reading order counts as the larger one.

    Args:
        predicted: ``(H, W)`` distances to the structure in pixels, an array or a tensor; NaN counts as smaller than all
            numbers.
        true: ``(H, W)`` true distances, 0 in the structure.
        window: side of the windows that tile the image in pixels; those at the right and lower border may be smaller.
        margin: pixels at this distance or nearer belong to no region. It is rounded to the type of ``true``, so that
            comparisons are exact for values such as √2.
        min_distance: minimum distance in pixels for ``within``; also rounded.
        keep_gaps: whether gaps of the structure connect regions.

    Raises:
        InvalidInput: the shapes differ, an array is not an image, or ``window`` is below 1.

    Example:
        >>> import numpy as np
        >>> from wsss.topology import critical_pixels
        >>> true = np.array([[2.0, 1.0, 0.0, 1.0, 2.0]])  # two regions, separated by a structure
        >>> critical_pixels(true, true, margin=0.5, min_distance=2).between.argmax().item()
        2
    """
    first, second = as_array(predicted, "predicted"), as_array(true, "true")
    if first.ndim != 2 or first.shape != second.shape:
        raise InvalidInput(
            subject="predicted and true",
            found=Verbatim(f"{first.shape} and {second.shape}"),
            allowed="images (H, W) of equal shape",
        )
    window = checked_count(window, "window")
    result = CriticalPixels(np.zeros(first.shape), np.zeros(first.shape))
    maps = np.ascontiguousarray(first, np.float64), np.ascontiguousarray(second, np.float64)
    margin, min_distance = (
        float(np.asarray(limit, np.result_type(second, np.float32))) for limit in (margin, min_distance)
    )
    call(_all_windows, "float64", *maps, window, margin, min_distance, keep_gaps, *result)
    return result


@kernel
def _all_windows(predicted, true, window, margin, min_distance, keep_gaps, between, within):
    """Write the fractions of every window to ``between`` and ``within``, which hold zeros."""
    rows, columns = true.shape
    for top in range(0, rows, window):
        for left in range(0, columns, window):
            down, right = min(top + window, rows), min(left + window, columns)
            distances = true[top:down, left:right].copy().ravel()
            order = np.argsort(-predicted[top:down, left:right].copy().ravel(), kind="mergesort")
            here = between[top:down, left:right], within[top:down, left:right]
            _window(order, distances, right - left, margin, min_distance, keep_gaps, *here)


@kernel
def _window(order, true, columns, margin, min_distance, keep_gaps, between, within):
    """Write the fractions of one window.

    Args:
        order: ``(n,)`` pixels of the window, flattened, in descending order of the prediction.
        true: ``(n,)`` true distances.
        columns: width of the window.
        margin, min_distance, keep_gaps: see `critical_pixels`.
        between, within: ``(h, w)``, written to.
    """
    count = true.size
    regions = _components(true, columns, margin)
    pairs_within = _pairs_of_one_region(regions, true, margin, min_distance)
    # Two forests: regions joined through the zone, and pixels joined inside their region.
    joined = _united(regions, _components(true, columns, 0.0), true, margin) if keep_gaps else regions.copy()
    inside = np.arange(count).astype(np.uint32)
    whole, part = np.zeros(count), np.zeros(count)
    for p in range(count):
        if true[p] > margin:
            whole[find(joined, p)] += 1
            part[p] = 1 if true[p] >= min_distance else 0
    pairs_between = (whole.sum() ** 2 - (whole * whole).sum()) / 2
    reached = np.zeros(count, np.bool_)
    for p in order:
        reached[p] = True
        r, c = p // columns, p % columns
        in_region = true[p] > margin
        if (pairs_within if in_region else pairs_between) == 0:
            continue
        for direction in range(4):
            if direction == 0 and r > 0:
                q = p - columns
            elif direction == 1 and c > 0:
                q = p - 1
            elif direction == 2 and c + 1 < columns:
                q = p + 1
            elif direction == 3 and p + columns < count:
                q = p + columns
            else:
                continue
            if in_region:
                if reached[q] and true[q] > margin:
                    within[r, c] += _join(inside, part, p, q)
            elif reached[q] or true[q] > margin:
                between[r, c] += _join(joined, whole, p, q)
    between /= max(pairs_between, 1.0)
    within /= max(pairs_within, 1.0)


@kernel
def _components(true, columns, margin):
    """Return a forest ``(n,)`` of the window's pixels whose trees are the components of pixels beyond ``margin``."""
    links = np.arange(true.size).astype(np.uint32)
    sizes = np.zeros(true.size)
    for p in range(true.size):
        if true[p] > margin:
            if p % columns > 0 and true[p - 1] > margin:
                _join(links, sizes, p, p - 1)
            if p >= columns and true[p - columns] > margin:
                _join(links, sizes, p, p - columns)
    return links


@kernel
def _united(regions, background, true, margin):
    """Return a forest like ``regions`` in which the regions of one background component are one tree."""
    links, sizes = regions.copy(), np.zeros(true.size)
    first = np.full(true.size, -1, np.int64)
    for p in range(true.size):
        if true[p] > margin:
            component = find(background, p)
            if first[component] < 0:
                first[component] = p
            _join(links, sizes, p, first[component])
    return links


@kernel
def _pairs_of_one_region(regions, true, margin, min_distance):
    """Return the number of pairs of pixels at this distance or farther in one region."""
    sizes = np.zeros(true.size)
    for p in range(true.size):
        if true[p] > margin and true[p] >= min_distance:
            sizes[find(regions, p)] += 1
    return (sizes * (sizes - 1)).sum() / 2


@kernel
def _join(links, sizes, p, q):
    """Join two components; return the number of pairs between them, 0 if they are already joined."""
    a, b = find(links, p), find(links, q)
    if a == b:
        return 0.0
    pairs = sizes[a] * sizes[b]
    low, high = min(a, b), max(a, b)
    links[high] = low
    sizes[low] += sizes[high]
    return pairs
