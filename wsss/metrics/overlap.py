"""Overlap of predicted with true masks: everything comes from one confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wsss.io.rasters.label_masks import IGNORE
from wsss.metrics.surface import masks_of_one_shape

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Unsure = Literal["miss", "skip", "background"]
Measure = Literal["miou", "precision", "recall", "pixel_accuracy"]


def confusion_matrix(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int, *, unsure: Unsure = "miss"
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        prediction: ``(H, W)`` class indices 0 … ``classes`` − 1, or 255 where the prediction is unsure.
        truth: ``(H, W)`` class indices, or 255 for pixels that don't count.
        classes: number of classes, background included.
        unsure: what unsure pixels of the prediction are: ``miss`` (wrong for their true class, charged to no other),
            ``skip`` (left out) or ``background``.

    Returns:
        ``(classes, classes + 1)`` counts, rows true, columns predicted; the last column counts unsure pixels.

    Raises:
        ValueError: an index is neither below ``classes`` nor 255.
    """
    for name, mask in (("prediction", prediction), ("truth", truth)):
        wrong = np.unique(mask[(mask >= classes) & (mask != IGNORE)])
        if wrong.size:
            raise ValueError(f"{name}: class indices {wrong.tolist()}; expected 0 to {classes - 1}, or {IGNORE}")
    counted = truth != IGNORE
    if unsure == "skip":
        counted &= prediction != IGNORE
    columns = prediction[counted].astype(np.int64)
    columns[columns == IGNORE] = 0 if unsure == "background" else classes
    cells = truth[counted].astype(np.int64) * (classes + 1) + columns
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def iou_per_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return intersection over union per class, ``(classes,)``; NaN for a class without a true pixel."""
    hit = np.diag(confusion)
    true = confusion.sum(1)
    union = true + confusion[:, :-1].sum(0) - hit
    return np.where(true > 0, hit / np.maximum(union, 1), np.nan)


def mean_scores(confusions: NDArray[Any], measure: Measure) -> NDArray[np.float64]:
    """Return one score of many confusion matrices at once.

    Args:
        confusions: ``(…, C, C + 1)`` counts as from `confusion_matrix`, integers or whole floats.
        measure: which; as in `overlap_scores`.

    Returns:
        ``(…)`` in [0, 1]; NaN where no pixel counts.
    """
    hit = np.diagonal(confusions, axis1=-2, axis2=-1).astype(np.float64)
    true, predicted = confusions.sum(-1), confusions[..., :-1].sum(-2)
    if measure == "pixel_accuracy":
        return _ratio(hit.sum(-1), true.sum(-1))
    whole = {"miou": true + predicted - hit, "precision": predicted, "recall": true}[measure]
    return supported_mean(hit / np.maximum(whole, 1), true > 0)


def supported_mean(values: NDArray[np.float64], supported: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean over the last axis where ``supported``; NaN where nothing is."""
    return _ratio(np.where(supported, values, 0.0).sum(-1), supported.sum(-1))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def dice(pred: ArrayLike, gt: ArrayLike) -> float:
    """Return the Dice coefficient ``2 |A ∩ B| / (|A| + |B|)`` in [0, 1]; 1 if both masks are empty.

    Args:
        pred: ``(H, W)``, everything but 0 is foreground.
        gt: ``(H, W)``, likewise.

    Raises:
        InvalidInput: no masks of one shape.

    Example:
        >>> dice([[1, 1, 0]], [[1, 0, 0]])
        0.6666666666666666
    """
    first, second = masks_of_one_shape(pred, gt)
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def overlap_scores(confusion: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Return mIoU, precision, recall and pixel accuracy, each in [0, 1].

    Means run over the classes (background included) that have true pixels; the others are listed under
    ``unsupported`` and have a ``null`` IoU. A class with true pixels that is never predicted has precision 0.

    Args:
        confusion: ``(C, C + 1)`` as from `confusion_matrix`, summed over images.
        names: the C class names.

    Returns:
        ``{"miou", "precision", "recall", "pixel_accuracy", "iou": {name: value}, "unsupported": [name],
        "unsure": fraction of counted pixels on which the prediction is unsure}``; values are ``None`` where no
        pixel counts at all.
    """
    hit = np.diag(confusion).astype(np.float64)
    true, predicted = confusion.sum(1), confusion[:, :-1].sum(0)
    iou = iou_per_class(confusion)
    supported = true > 0
    total = int(confusion.sum())

    def mean(values: NDArray[np.float64]) -> float | None:
        return float(values[supported].mean()) if supported.any() else None

    return {
        "miou": mean(iou),
        "precision": mean(hit / np.maximum(predicted, 1)),
        "recall": mean(hit / np.maximum(true, 1)),
        "pixel_accuracy": float(hit.sum() / total) if total else None,
        "iou": {name: float(value) if ok else None for name, value, ok in zip(names, iou, supported, strict=True)},
        "unsupported": [name for name, ok in zip(names, supported, strict=True) if not ok],
        "unsure": float(confusion[:, -1].sum() / total) if total else None,
    }
