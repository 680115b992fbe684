"""Scores of class maps at all fixed thresholds, from one histogram per image.

At threshold t a pixel has the class of its highest map if the value exceeds t, otherwise background. This depends only
on the number of thresholds below the value: counting pixels by true class, best class and that number gives the
confusion matrices of all thresholds as cumulative sums.

A threshold chosen by these scores is chosen on the ground truth, and is marked ORACLE wherever it appears.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.io.rasters.cams import best_class
from wsss.io.rasters.label_masks import IGNORE
from wsss.metrics.overlap import supported_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIT, PREDICTED, TRUE = range(3)

BAND = 512
"""Rows counted at a time, which bounds the memory."""


def even_levels(count: int) -> tuple[float, ...]:
    """Return the thresholds 0, 1/``count``, 2/``count`` … below 1."""
    return tuple(round(step / count, 6) for step in range(count))


def level_histogram(
    maps: Iterable[NDArray[np.float32]],
    indices: Sequence[int],
    truth: NDArray[np.uint8],
    classes: int,
    levels: Sequence[float],
) -> NDArray[np.int64]:
    """Count pixels by true class, best class, and number of thresholds below the best map's value.

    Args:
        maps: K' maps ``(H, W)`` float32 in [0, 1], read one by one; the first of equal ones is the best.
        indices: the K' class indices (≥ 1).
        truth: ``(H, W)`` class indices, 255 for ignored pixels.
        classes: C, including the background.
        levels: L ascending thresholds.

    Returns:
        ``(C, C, L + 1)`` counts: true class, best class (0 without maps), number of thresholds below.
    """
    highest, best = best_class(maps, indices, truth.shape)
    total = np.zeros(classes * classes * (len(levels) + 1), np.int64)
    ascending = np.asarray(levels, np.float32)  # compared as float32, like the masks of a fixed threshold
    for top in range(0, len(truth), BAND):
        rows = slice(top, top + BAND)
        counted = truth[rows] != IGNORE
        below = np.searchsorted(ascending, highest[rows][counted], side="left") if len(indices) else 0
        cells = truth[rows][counted].astype(np.int64) * classes + best[rows][counted]
        total += np.bincount(cells * (len(levels) + 1) + below, minlength=len(total))
    return total.reshape(classes, classes, len(levels) + 1)


def level_confusions(histogram: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the confusion matrix at each threshold, ``(L, C, C + 1)``, of a histogram from `level_histogram`."""
    above = histogram[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]  # (C, C, L): pixels whose best map is above
    confusions = np.zeros((above.shape[-1], histogram.shape[0], histogram.shape[1] + 1), np.int64)
    confusions[:, :, 1:-1] = above[:, 1:].transpose(2, 0, 1)
    confusions[:, :, 0] = histogram.sum((1, 2)) - confusions.sum(2)
    return confusions


def level_counts(confusions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the counts for precision and recall, ``(…, L, 3, C)``, of confusion matrices ``(…, L, C, C + 1)``.

    The three are the numbers of `HIT` (correctly predicted), `PREDICTED` and `TRUE` pixels of each class.
    """
    hit = np.diagonal(confusions, axis1=-2, axis2=-1)
    return np.stack([hit, confusions[..., :-1].sum(-2), confusions.sum(-1)], axis=-2)


def foreground_precision_recall(counts: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return macro precision and recall of the foreground at each threshold.

    Both are means, over the foreground classes with true pixels, of the precision and recall on the pixels of all
    images together. A class that is never predicted has a precision of 0.

    Args:
        counts: ``(…, L, 3, C)`` counts of `level_counts`, summed over images.

    Returns:
        Two arrays ``(…, L)`` in [0, 1]; NaN if no foreground class has true pixels.
    """
    hit, predicted, true = (counts[..., part, 1:] for part in (HIT, PREDICTED, TRUE))
    supported = true > 0
    return (
        supported_mean(hit / np.maximum(predicted, 1), supported),
        supported_mean(hit / np.maximum(true, 1), supported),
    )


def best_recall(counts: NDArray[Any], minimum_precision: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the highest macro foreground recall of the thresholds whose precision is at least ``minimum_precision``.

    Args:
        counts: ``(…, L, 3, C)`` counts of `level_counts`, summed over images.
        minimum_precision: minimum precision in [0, 1].

    Returns:
        The recall ``(…)`` and the index of the (first) threshold with it. If no threshold is that precise, the recall
        is 0 and the index −1. The recall is NaN if no foreground class has true pixels.
    """
    precision, recall = foreground_precision_recall(counts)
    with np.errstate(invalid="ignore"):
        allowed = np.where(precision >= minimum_precision, recall, -1.0)
    index = allowed.argmax(-1)
    best = np.take_along_axis(allowed, index[..., None], -1)[..., 0]
    index = np.where(best >= 0, index, -1)
    return np.where(np.isnan(recall).any(-1), np.nan, np.maximum(best, 0.0)), index
