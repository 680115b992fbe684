"""Skeletons of masks, through scikit-image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.errors import InvalidInput
from wsss.topology.kernels.image_keys import checked_option

Method = Literal["zhang", "lee"]


def skeleton(mask: ArrayLike, *, method: Method = "zhang") -> NDArray[np.bool_]:
    """Return the one pixel wide skeleton of a mask.

    Args:
        mask: ``(H, W)``; bool or integers, where everything but 0 is foreground.
        method: ``zhang`` (Zhang and Suen 1984) or ``lee`` (Lee, Kashyap and Chu 1994).

    Returns:
        ``(H, W)`` bool, a subset of the foreground.

    Raises:
        InvalidInput: the mask isn't two-dimensional, holds floats, or ``method`` is unknown.
    """
    from skimage.morphology import skeletonize  # imports scipy: only when it is needed

    checked_option(method, Method, "method")
    array = np.asarray(mask)
    if array.ndim != 2 or array.dtype.kind not in "bui":
        raise InvalidInput(
            f"mask: a two-dimensional mask (H, W) of bool or integers is needed, "
            f"found shape {array.shape} of {array.dtype}"
        )
    if array.size == 0:
        return np.zeros(array.shape, bool)
    return np.asarray(skeletonize(array != 0, method=method), bool)
