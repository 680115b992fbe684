"""Distances between the surfaces of two masks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput
from wsss.topology.kernels.image_keys import checked_mask

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def hd95(pred: ArrayLike, gt: ArrayLike) -> float:
    """Return the 95 % Hausdorff distance in pixels, by TopoMortar's definition (that of medpy 0.4).

    A surface pixel is a foreground pixel with a background 4-neighbour, where what lies outside the image is
    background. The distances of each mask's surface pixels to the other's nearest one are stacked, both directions
    together, and their 95th percentile is taken (interpolated linearly). Many programs take the larger of two
    percentiles instead, one for each direction.

    Args:
        pred: ``(H, W)``, everything but 0 is foreground.
        gt: ``(H, W)``, likewise.

    Returns:
        At least 0. If both masks are empty, 0. If just one is, there is no distance; the image's diagonal, from the
        centre of one corner pixel to that of the other, stands for it (√2 · 511 in TopoMortar's tables), the largest
        distance there can be. Never NaN, infinite, or beyond the diagonal.

    Raises:
        InvalidInput: the masks aren't two-dimensional, have no pixels, or differ in shape.

    Example:
        >>> hd95([[1, 0, 0, 0]], [[0, 0, 1, 0]])
        2.0
    """
    first, second = masks_of_one_shape(pred, gt)
    if not first.any() and not second.any():
        return 0.0
    if not first.any() or not second.any():
        return math.dist((0, 0), (first.shape[0] - 1, first.shape[1] - 1))
    one, other = _surface(first), _surface(second)
    distances = np.concatenate([_distances(one, other), _distances(other, one)])
    return float(np.percentile(distances, 95))


def masks_of_one_shape(pred: ArrayLike, gt: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return both masks as ``(H, W)`` bool.

    Raises:
        InvalidInput: they aren't two-dimensional masks of one shape with at least one pixel.
    """
    masks = checked_mask(pred, "pred"), checked_mask(gt, "gt")
    if masks[0].shape != masks[1].shape:
        raise InvalidInput(f"pred and gt: the shapes must agree, found {masks[0].shape} and {masks[1].shape}")
    return masks


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)


def _distances(of: NDArray[np.bool_], to: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the distance of every pixel in ``of`` to the nearest in ``to``, in no particular order."""
    from scipy.ndimage import distance_transform_edt

    found: NDArray[np.float64] = distance_transform_edt(~to)[of]
    return found
