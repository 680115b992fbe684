"""Skeletons of masks, through scikit-image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.topology.kernels.image_keys import checked_mask, checked_option

Method = Literal["zhang", "lee"]


def skeleton(mask: ArrayLike, *, method: Method = "zhang") -> NDArray[np.bool_]:
    """Return the skeleton of a mask, one pixel wide.

    Args:
        mask: ``(H, W)``, see `betti_numbers`.
        method: ``zhang`` (Zhang and Suen 1984) or ``lee`` (Lee, Kashyap and Chu 1994).

    Returns:
        ``(H, W)`` bool, a subset of the foreground.

    Raises:
        InvalidInput: not a two-dimensional mask, or an unknown method.

    Example:
        >>> from wsss.topology import skeleton
        >>> skeleton([[0, 0, 0, 0, 0]] + [[0, 1, 1, 1, 0]] * 5).any(0).tolist()
        [False, False, True, False, False]
    """
    from skimage.morphology import skeletonize  # slow to import, since it imports SciPy

    checked_option(method, Method, "method")
    if np.size(mask) == 0 and np.ndim(mask) == 2:
        return np.zeros(np.shape(mask), bool)
    return np.asarray(skeletonize(checked_mask(mask, "mask"), method=method), bool)
