"""Uncertainty of a mask without ground truth: disagreement of masks, entropy, and boundary pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def disagreement(masks: Sequence[NDArray[np.uint8]]) -> float:
    """Return the mean disagreement of masks: 0 if all are equal, 1 if all differ at every pixel.

    At a pixel where ``m`` of ``k`` masks have the most frequent value, it is ``(k − m) / (k − 1)``. 255 counts as
    a value, so an uncertain pixel disagrees with a labelled one.

    Args:
        masks: at least two masks ``(H, W)`` of class indices, of equal size.
    """
    stacked = np.stack(masks)
    most = np.zeros(stacked.shape[1:], np.int64)
    for value in np.unique(stacked):
        np.maximum(most, (stacked == value).sum(0), out=most)
    return float((len(masks) - most).mean() / (len(masks) - 1))


def boundary(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the pixels ``(H, W)`` of a mask that share an edge with a pixel of a different value."""
    pixels = np.zeros(mask.shape, bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    pixels[:, 1:] |= across
    pixels[:, :-1] |= across
    pixels[1:] |= down
    pixels[:-1] |= down
    return pixels


def mean_entropy(probabilities: NDArray[np.floating]) -> float:
    """Return the mean entropy of class probabilities ``(C, H, W)``, divided by that of C equal probabilities: 0 … 1."""
    values = probabilities.astype(np.float32)
    entropy = -(values * np.log(np.maximum(values, 1e-12))).sum(0)
    return float(np.clip(entropy.mean() / np.log(len(values)), 0, 1)) if len(values) > 1 else 0.0


def mean_map_entropy(highest: NDArray[np.float32]) -> float:
    """Return the mean binary entropy in bits of the highest map value ``(H, W)`` in [0, 1], taken as a probability."""
    return mean_entropy(np.stack([highest, 1 - highest]))
