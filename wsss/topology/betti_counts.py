"""Betti numbers of binary masks: β₀ components and β₁ holes, for both connectivities.

Components are counted by union-find, holes by the Euler characteristic ``χ = β₀ − β₁``, a sum over all 2×2 windows
(Gray, "Local properties of binary images in two dimensions", 1971): with ``Q₁`` and ``Q₃`` windows of one and of three
foreground pixels and ``Q_D`` windows of two diagonal ones, ``4χ = Q₁ − Q₃ ± 2 Q_D``, minus for 8-connected foreground,
plus for 4-connected. The background has the other connectivity; pixels outside the image are background.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.topology.compiling import call, kernel
from wsss.topology.kernels.image_keys import checked_connectivity, checked_count, checked_mask, checked_masks
from wsss.topology.kernels.unionfind import find


class BettiNumbers(NamedTuple):
    """Numbers of components and holes.

    Example:
        >>> from wsss.topology import betti_numbers
        >>> components, holes = betti_numbers([[1, 0, 1]])
        >>> components, holes
        (2, 0)
    """

    b0: int
    b1: int


class BettiErrors(NamedTuple):
    """Mean absolute differences of the numbers of components and holes.

    Example:
        >>> from wsss.topology import local_betti_error
        >>> local_betti_error([[1, 0, 1]], [[1, 1, 1]]).b0
        1.0
    """

    b0: float
    b1: float


def betti_numbers(mask: ArrayLike, *, connectivity: int = 8) -> BettiNumbers:
    """Return the number of components and of holes of a mask.

    Args:
        mask: ``(H, W)``, an array or a tensor; bool or integers, non-zero pixels are foreground (0/1 as well as 0/255);
            floats if they are all 0 or 1.
        connectivity: 8 (as in TopoMortar: 8-connected foreground, 4-connected holes) or 4 (as in `betti_matching`:
            4-connected foreground, 8-connected holes).

    Returns:
        ``(b0, b1)``; ``(0, 0)`` for an empty mask, ``(1, 0)`` for a full one.

    Raises:
        InvalidInput: not a two-dimensional mask with pixels, or an invalid connectivity.

    Example:
        >>> from wsss.topology import betti_numbers
        >>> betti_numbers([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
        BettiNumbers(b0=1, b1=1)
    """
    return _count(checked_mask(mask, "mask"), checked_connectivity(connectivity))


def local_betti_error(pred: ArrayLike, gt: ArrayLike, *, window: int = 128, connectivity: int = 8) -> BettiErrors:
    """Return the mean absolute differences of the Betti numbers over windows that tile the image.

    Unlike in the global difference, spurious and missing components in different places do not cancel out. Windows
    that are empty in both masks have an error of 0.

    Args:
        pred: ``(H, W)`` mask, see `betti_numbers`.
        gt: ``(H, W)`` mask of the same shape.
        window: side of the windows in pixels; those at the right and lower border may be smaller.
        connectivity: see `betti_numbers`.

    Raises:
        InvalidInput: invalid masks, different shapes, an invalid connectivity, or ``window`` below 1.

    Example:
        >>> from wsss.topology import local_betti_error
        >>> local_betti_error([[1, 0, 0, 0]], [[0, 0, 0, 1]], window=2)
        BettiErrors(b0=1.0, b1=0.0)
    """
    first, second = checked_masks(pred, gt)
    eight = checked_connectivity(connectivity)
    window = checked_count(window, "window")
    differences = []
    for r in range(0, first.shape[0], window):
        for c in range(0, first.shape[1], window):
            tile = np.s_[r : r + window, c : c + window]
            a, b = _count(first[tile], eight), _count(second[tile], eight)
            differences.append((abs(a.b0 - b.b0), abs(a.b1 - b.b1)))
    mean0, mean1 = np.mean(differences, axis=0)
    return BettiErrors(float(mean0), float(mean1))


def _count(mask: NDArray[np.bool_], eight: bool) -> BettiNumbers:
    padded = np.pad(mask, 1).view(np.uint8)
    components = call(_components, "uint8", padded, eight)
    euler = call(_four_euler, "uint8", padded, eight) // 4
    return BettiNumbers(int(components), int(components - euler))


@kernel
def _components(padded, eight):
    """Count the components of a ``(H + 2, W + 2)`` mask of 0 and 1 whose border is 0."""
    stride = padded.shape[1]
    flat = padded.ravel()
    links = np.empty(flat.size, np.uint32)
    count = 0
    for p in range(stride, flat.size - stride):
        if flat[p] == 0:
            continue
        links[p] = p
        count += 1
        count -= _union(links, p, p - 1) if flat[p - 1] else 0
        count -= _union(links, p, p - stride) if flat[p - stride] else 0
        if eight:
            count -= _union(links, p, p - stride - 1) if flat[p - stride - 1] else 0
            count -= _union(links, p, p - stride + 1) if flat[p - stride + 1] else 0
    return count


@kernel
def _union(links, p, q):
    """Join two components; return 1 if they were separate, otherwise 0."""
    a, b = find(links, p), find(links, q)
    links[max(a, b)] = min(a, b)
    return 1 if a != b else 0


@kernel
def _four_euler(padded, eight):
    """Return four times the Euler characteristic."""
    total = 0
    for r in range(padded.shape[0] - 1):
        for c in range(padded.shape[1] - 1):
            a, b = padded[r, c], padded[r, c + 1]
            x, y = padded[r + 1, c], padded[r + 1, c + 1]
            size = a + b + x + y
            total += (1 if size == 1 else 0) - (1 if size == 3 else 0)
            diagonal = 2 if (size == 2) & (a == y) else 0
            total += -diagonal if eight else diagonal
    return total
