"""Which pixels decide whether background regions stay apart, and whether they stay whole (MALIS on a distance map).

MALIS (Turaga et al., "Maximin affinity learning of image segmentation", NeurIPS 2009): two pixels are connected as well
as the worst pixel of the best path between them. Here the pixels' values are predicted distances to a structure, the
regions are what the true structure separates, and pairs of pixels are counted by the *critical pixel*, the worst one on
their best path: Kruskal's algorithm takes pixels in descending order, and the pixel that joins two components is
critical for all pairs between them. So a window costs a sort, though it has millions of pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.errors import InvalidInput
from wsss.topology.compiling import call, kernel
from wsss.topology.kernels.unionfind import find


class CriticalPixels(NamedTuple):
    """Per pixel, the share of pairs that it is critical for, in its window."""

    between: NDArray[np.float64]
    """``(H, W)``: of the pairs of pixels of separate regions; the sum over a window is 1, or 0 without such pairs."""
    within: NDArray[np.float64]
    """``(H, W)``: of the pairs of pixels of one region, both far from the structure; likewise."""


def critical_pixels(
    predicted: NDArray[np.floating],
    true: NDArray[np.floating],
    *,
    window: int = 64,
    margin: float = 5.0,
    far: float = 10.0,
    keep_gaps: bool = True,
) -> CriticalPixels:
    """Find the critical pixels of a predicted distance map, window by window.

    The true distances divide a window into *regions*, the 4-connected components of pixels farther than ``margin`` from
    the structure, and the zone between them. Paths are 4-connected and stay in their window.

    - ``between``: of regions that the structure itself separates; where it has a gap of its own, the regions on both
      sides of the gap are one, unless ``keep_gaps`` is false. Only the zone's predictions count; inside a region all
      pixels are connected perfectly. Critical is the zone's pixel with the smallest prediction on the best path between
      two regions: it should be the structure.
    - ``within``: paths that stay in one region, between pixels at least ``far`` from the structure. The critical pixel
      should be as far from the structure as it truly is.

    Of equal predictions, the first in reading order counts as the larger one.

    Args:
        predicted: ``(H, W)`` distances to the structure (pixels); NaN counts as smaller than all numbers.
        true: ``(H, W)`` true ones, 0 in the structure.
        window: side of the windows that tile the image (pixels); those at the right and lower border may be smaller.
        margin: pixels nearer than this, or exactly as near, belong to no region. It is rounded to the type of ``true``:
            to be as near exactly, a distance need not be a number that this type holds (√2, 0.1).
        far: see above; rounded likewise.
        keep_gaps: see above.

    Raises:
        InvalidInput: the shapes differ or aren't two-dimensional; ``window`` is less than 1.
    """
    if predicted.ndim != 2 or predicted.shape != true.shape:
        raise InvalidInput(
            f"predicted and true: two images (H, W) of one shape are needed, found {predicted.shape} and {true.shape}"
        )
    if window < 1:
        raise InvalidInput(f"window: at least 1 pixel is needed, found {window}")
    found = CriticalPixels(np.zeros(predicted.shape), np.zeros(predicted.shape))
    wanted = np.ascontiguousarray(predicted, np.float64), np.ascontiguousarray(true, np.float64)
    margin, far = (float(np.asarray(limit, np.result_type(true, np.float32))) for limit in (margin, far))
    call(_all_windows, "float64", *wanted, window, margin, far, keep_gaps, *found)
    return found


@kernel
def _all_windows(predicted, true, window, margin, far, keep_gaps, between, within):
    """Write the shares of every window to ``between`` and ``within``, zeros before."""
    rows, columns = true.shape
    for top in range(0, rows, window):
        for left in range(0, columns, window):
            down, right = min(top + window, rows), min(left + window, columns)
            distances = true[top:down, left:right].copy().ravel()
            order = np.argsort(-predicted[top:down, left:right].copy().ravel(), kind="mergesort")
            here = between[top:down, left:right], within[top:down, left:right]
            _window(order, distances, right - left, margin, far, keep_gaps, *here)


@kernel
def _window(order, true, columns, margin, far, keep_gaps, between, within):
    """Write the shares of one window.

    Args:
        order: ``(n,)`` pixels of the window, flattened, in descending order of the prediction.
        true: ``(n,)`` true distances.
        columns: width of the window.
        margin: see `critical_pixels`.
        far: see `critical_pixels`.
        keep_gaps: see `critical_pixels`.
        between: ``(h, w)`` written to; ``within`` too.
    """
    count = true.size
    regions = _components(true, columns, margin)
    pairs_within = _pairs_of_one_region(regions, true, margin, far)
    # Two forests: regions that are joined through the zone, and pixels that are joined inside their region.
    joined = _united(regions, _components(true, columns, 0.0), true, margin) if keep_gaps else regions.copy()
    inside = np.arange(count).astype(np.uint32)
    whole, part = np.zeros(count), np.zeros(count)
    for p in range(count):
        if true[p] > margin:
            whole[find(joined, p)] += 1
            part[p] = 1 if true[p] >= far else 0
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
    """Return a forest ``(n,)`` of the window's pixels whose trees are the components of those beyond ``margin``."""
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
    """Return a forest like ``regions`` in which those of one component of the background are one tree."""
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
def _pairs_of_one_region(regions, true, margin, far):
    """Return how many pairs of far pixels lie in one region."""
    sizes = np.zeros(true.size)
    for p in range(true.size):
        if true[p] > margin and true[p] >= far:
            sizes[find(regions, p)] += 1
    return (sizes * (sizes - 1)).sum() / 2


@kernel
def _join(links, sizes, p, q):
    """Join two components; return the number of pairs between them, 0 if they are one already."""
    a, b = find(links, p), find(links, q)
    if a == b:
        return 0.0
    pairs = sizes[a] * sizes[b]
    low, high = min(a, b), max(a, b)
    links[high] = low
    sizes[low] += sizes[high]
    return pairs
