"""Hausdorff distance between two masks."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.topology.kernels.image_keys import as_array, as_plane, checked_masks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def hd95(pred: ArrayLike, gt: ArrayLike, *, ignore_index: int | None = None) -> float:
    """Return the 95 % Hausdorff distance in pixels, as defined by TopoMortar (medpy 0.4).

    A surface pixel is a foreground pixel with a 4-neighbour that is background or outside the image. The distances of
    each mask's surface pixels to the nearest surface pixel of the other are concatenated, and their 95th percentile is
    taken (linear interpolation). Many programs take the larger of the percentiles of both directions instead.

    Any non-zero value, including 255, is foreground, unless it is the ``ignore_index``.

    Args:
        pred: ``(H, W)`` mask, or with leading dimensions of 1; an array or a tensor, non-zero pixels are foreground.
        gt: ``(H, W)`` mask of the same shape.
        ignore_index: value of pixels of ``gt`` that are background in both masks.

    Returns:
        A value from 0 to the length of the image's diagonal. 0 if both masks are empty; if one is empty, the diagonal
        between the centres of opposite corner pixels (√2 · 511 in TopoMortar's tables).

    Raises:
        InvalidInput: the shapes differ, a mask is invalid or has no pixels, or all pixels are ignored.

    Example:
        >>> from wsss.metrics import hd95
        >>> hd95([[1, 0, 0, 0]], [[0, 0, 1, 0]])
        2.0
    """
    first, second = mask_pair(pred, gt, ignore_index)
    if not first.any() and not second.any():
        return 0.0
    if not first.any() or not second.any():
        return math.dist((0, 0), (first.shape[0] - 1, first.shape[1] - 1))
    surfaces = _surface(first), _surface(second)
    distances = np.concatenate([_distances(*surfaces), _distances(*surfaces[::-1])])
    return float(np.percentile(distances, 95))


def mask_pair(
    pred: ArrayLike, gt: ArrayLike, ignore_index: int | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return both masks as ``(H, W)`` bool; pixels with ``ignore_index`` in ``gt`` are background in both.

    Raises:
        InvalidInput: the shapes differ, a mask or ``ignore_index`` is invalid, or all pixels are ignored.
    """
    if ignore_index is None:
        return checked_masks(pred, gt)
    check_ignore_index(ignore_index)
    counted = as_plane(gt, "gt") != ignore_index
    if not counted.any():
        raise InvalidInput("no pixel is labelled", subject="gt", allowed=f"a pixel other than {ignore_index} (ignored)")
    first, second = checked_masks(pred, as_array(gt, "gt") * counted)
    return first & counted, second


def check_ignore_index(value: Any) -> None:
    """Require a number or None; NumPy would find no pixel equal to the text ``"255"``.

    Raises:
        InvalidInput: a value of another type.
    """
    if value is not None and not isinstance(value, Real):
        raise InvalidInput(subject="ignore_index", found=repr(value), allowed="a number, or None to ignore no pixel")


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)


def _distances(pixels: NDArray[np.bool_], targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the distance of every pixel to the nearest target."""
    from scipy.ndimage import distance_transform_edt

    distances: NDArray[np.float64] = distance_transform_edt(~targets)[pixels]
    return distances
