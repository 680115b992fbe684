"""Overlap scores, all computed from confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.only_background import warn_only_background
from wsss.metrics.surface import check_ignore_index, mask_pair
from wsss.topology.kernels.image_keys import as_array, checked_count, checked_option, require_one_shape

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Uncertain = Literal["miss", "skip", "background"]
Measure = Literal["miou", "precision", "recall", "pixel_accuracy"]


def confusion_matrix(
    prediction: ArrayLike, truth: ArrayLike, classes: int, *, uncertain: Uncertain = "miss"
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        prediction: class indices 0 … ``classes`` − 1, or 255 for uncertain pixels; an array or a tensor of bool,
            integers or whole floats, of any shape.
        truth: class indices of the same shape, or 255 for ignored pixels.
        classes: number of classes including the background.
        uncertain: uncertain pixels are wrong for their true class (``miss``), left out (``skip``) or ``background``.

    Returns:
        ``(classes, classes + 1)`` counts with true classes in rows and predicted classes in columns; the last column
        counts uncertain pixels.

    Raises:
        InvalidInput: different shapes, values that are not class indices or are out of range, masked pixels, or an
            invalid ``uncertain`` or number of classes.

    Example:
        >>> import numpy as np
        >>> from wsss.metrics import confusion_matrix
        >>> confusion_matrix(np.array([0, 1, 255]), np.array([0, 0, 1]), 2).tolist()
        [[1, 1, 0], [0, 0, 1]]
    """
    checked_option(uncertain, Uncertain, "uncertain")
    classes = checked_count(classes, "classes")
    predicted, true = _whole(prediction, "prediction"), _whole(truth, "truth")
    require_one_shape(predicted, true, "prediction and truth")
    for name, mask in (("prediction", predicted), ("truth", true)):
        wrong = np.unique(mask[((mask >= classes) & (mask != IGNORE)) | (mask < 0)])
        if wrong.size:
            raise InvalidInput(
                subject=name,
                found=wrong.tolist(),
                allowed=f"class indices 0 to {classes - 1} ({classes} classes), or {IGNORE}",
            )
    counted = true != IGNORE
    if uncertain == "skip":
        counted &= predicted != IGNORE
    columns = predicted[counted].astype(np.int64)
    columns[columns == IGNORE] = 0 if uncertain == "background" else classes
    return _counts(true[counted].astype(np.int64), columns, classes)


def _counts(true: NDArray[np.int64], columns: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count the pixels of each true class and predicted column, ``(classes, classes + 1)``; `confusion_matrix`."""
    cells = true * (classes + 1) + columns
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def class_iou(
    pred: ArrayLike, gt: ArrayLike, *, classes: int | None = None, ignore_index: int | None = IGNORE
) -> NDArray[np.float64]:
    """Return the intersection over union of each class, on the pixels of all images together.

    Pixels of ``gt`` that are 255 are ignored by default, unlike in `dice` and the other scores of two masks, where any
    non-zero value is foreground unless ``ignore_index`` is set: divide masks of 0 and 255 by 255.

    Args:
        pred: class indices; an array or a tensor of bool, integers or whole floats, of any shape.
        gt: class indices of the same shape.
        classes: number of classes including the background; by default the largest class index plus 1.
        ignore_index: value of ignored pixels of ``gt``, or None; in ``pred`` it counts as wrong for every class. If it
            is not 255, 255 is a class index like any other.

    Returns:
        ``(classes,)`` in [0, 1]; NaN for classes without a true pixel.

    Raises:
        InvalidInput: different shapes, values that are not class indices, indices out of range, masked pixels, or all
            pixels of ``gt`` are ignored.

    Warns:
        OnlyBackground: all labelled pixels of ``gt`` are background, and the others are 255.

    Example:
        >>> from wsss.metrics import class_iou
        >>> class_iou([0, 1, 1, 0], [0, 1, 0, 255]).tolist()
        [0.5, 0.5]
    """
    first, second = (_whole(values, name).astype(np.int64) for name, values in (("pred", pred), ("gt", gt)))
    if classes is not None:
        classes = checked_count(classes, "classes")
    check_ignore_index(ignore_index)
    require_one_shape(first, second)
    known, labelled = first != ignore_index, second != ignore_index
    _require_labels(second[labelled], second.size, ignore_index)
    used = {"pred": first[known], "gt": second[labelled]}
    largest = {name: int(values.max(initial=0)) for name, values in used.items()}
    count = max(largest.values()) + 1 if classes is None else classes
    for name, values in used.items():
        if largest[name] >= count or values.min(initial=0) < 0:
            raise InvalidInput(
                subject=name,
                found=largest[name] if largest[name] >= count else int(values.min()),
                allowed=f"class indices 0 to {count - 1}"
                + ("" if ignore_index is None else f", or {ignore_index} for ignored pixels"),
            )
    return iou_per_class(_counts(second[labelled], np.where(known, first, count)[labelled], count))


def mean_iou(pred: ArrayLike, gt: ArrayLike, *, classes: int | None = None, ignore_index: int | None = IGNORE) -> float:
    """Return the mean of `class_iou` over the classes with true pixels. By default 255 in ``gt`` is ignored.

    Args:
        pred: see `class_iou`.
        gt: see `class_iou`.
        classes: see `class_iou`.
        ignore_index: see `class_iou`.

    Raises:
        InvalidInput: see `class_iou`.

    Warns:
        OnlyBackground: see `class_iou`.

    Example:
        >>> from wsss.metrics import mean_iou
        >>> mean_iou([[0, 1], [1, 2]], [[0, 1], [1, 1]])
        0.8333333333333333
    """
    iou = class_iou(pred, gt, classes=classes, ignore_index=ignore_index)
    return float(supported_mean(np.nan_to_num(iou), ~np.isnan(iou)))


def _require_labels(labels: NDArray[np.int64], pixels: int, ignore_index: int | None) -> None:
    """Require labelled pixels in the ground truth, and warn if it has only background and ignored pixels.

    Args:
        labels: values of the labelled pixels.
        pixels: number of all pixels.
    """
    if not labels.size:
        allowed = "a labelled pixel" if ignore_index is None else f"a pixel other than {ignore_index} (ignored)"
        raise InvalidInput("no pixel is labelled", subject="gt", allowed=allowed)
    if ignore_index == IGNORE and labels.size < pixels and not labels.any():
        warn_only_background("gt", "this score ignores")


def _whole(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return an array of bool, integers, or floats without fractions."""
    array = as_array(values, name)
    whole = array.dtype.kind in "bui"
    if array.dtype.kind == "f":
        whole = bool((np.isfinite(array) & (array == np.round(array))).all())
    if not whole:
        raise InvalidInput(
            "not class indices", subject=name, allowed="integers", hint="Take the argmax of probabilities first."
        )
    return array


def iou_per_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the intersection over union of each class, ``(classes,)``; NaN for a class without a true pixel."""
    hit = np.diag(confusion)
    true = confusion.sum(1)
    union = true + confusion[:, :-1].sum(0) - hit
    return np.where(true > 0, hit / np.maximum(union, 1), np.nan)


def mean_scores(confusions: NDArray[Any], measure: Measure) -> NDArray[np.float64]:
    """Return one score of many confusion matrices.

    Args:
        confusions: ``(…, C, C + 1)`` counts of `confusion_matrix`, integers or whole floats.
        measure: a score of `overlap_scores`.

    Returns:
        ``(…)`` in [0, 1]; NaN for matrices without counts.
    """
    hit = np.diagonal(confusions, axis1=-2, axis2=-1).astype(np.float64)
    true, predicted = confusions.sum(-1), confusions[..., :-1].sum(-2)
    if measure == "pixel_accuracy":
        return _ratio(hit.sum(-1), true.sum(-1))
    whole = {"miou": true + predicted - hit, "precision": predicted, "recall": true}[measure]
    return supported_mean(hit / np.maximum(whole, 1), true > 0)


def supported_mean(values: NDArray[np.float64], supported: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of the ``supported`` values over the last axis; NaN if there are none."""
    return _ratio(np.where(supported, values, 0.0).sum(-1), supported.sum(-1))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def dice(pred: ArrayLike, gt: ArrayLike, *, ignore_index: int | None = None) -> float:
    """Return the Dice coefficient ``2 |A ∩ B| / (|A| + |B|)`` in [0, 1]; 1 if both masks are empty.

    Any non-zero value, including 255, is foreground, unless it is the ``ignore_index``.

    Args:
        pred: ``(H, W)`` mask, or with leading dimensions of 1; an array or a tensor, non-zero pixels are foreground.
        gt: ``(H, W)`` mask of the same shape.
        ignore_index: value of pixels of ``gt`` that are background in both masks.

    Raises:
        InvalidInput: the shapes differ, a mask is invalid, or all pixels are ignored.

    Example:
        >>> from wsss.metrics import dice
        >>> dice([[1, 1, 0]], [[1, 0, 0]])
        0.6666666666666666
    """
    first, second = mask_pair(pred, gt, ignore_index)
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def overlap_scores(confusion: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Return mIoU, precision, recall and pixel accuracy, each in [0, 1].

    Means run over the classes (including the background) with true pixels; the others are listed under ``unsupported``
    with an IoU of ``None``. A class with true pixels that is never predicted has a precision of 0.

    Args:
        confusion: ``(C, C + 1)`` counts of `confusion_matrix`, summed over images.
        names: the C class names.

    Returns:
        ``{"miou", "precision", "recall", "pixel_accuracy", "iou": {name: value}, "unsupported": [name],
        "uncertain_fraction"}``; values are ``None`` if no pixel counts.
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
        "uncertain_fraction": float(confusion[:, -1].sum() / total) if total else None,
    }
