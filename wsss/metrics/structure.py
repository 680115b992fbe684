"""Topology, surface and Dice scores of a set of masks, per image and class and averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wsss.io.rasters.label_masks import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.metrics.topology import Frame

Group = Literal["betti", "local_betti", "betti_matching", "cldice", "hd95", "dice"]

COLUMNS: Mapping[Group, tuple[str, ...]] = {
    "betti": ("betti0_error", "betti1_error"),
    "local_betti": ("local_betti0_error", "local_betti1_error"),
    "betti_matching": ("betti_matching_error", "betti_matching_error_dim0", "betti_matching_error_dim1"),
    "cldice": ("cldice",),
    "hd95": ("hd95",),
    "dice": ("dice",),
}
"""Scores of each group."""


def columns_of(groups: Sequence[Group]) -> list[str]:
    """Return the names of the scores of the groups, in the order of `COLUMNS`."""
    return [column for group, columns in COLUMNS.items() if group in groups for column in columns]


def structure_scores(
    prediction: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    classes: int,
    groups: Sequence[Group],
    *,
    window: int,
    frame: Frame,
    skip_uncertain: bool = False,
    transposed: bool = False,
) -> dict[int, list[float]]:
    """Score each class of an image except the background against the rest.

    Args:
        prediction: ``(H, W)`` class indices, or 255 for uncertain pixels, which are background.
        truth: ``(H, W)`` class indices, or 255 for ignored pixels, which are background in both masks.
        classes: number of classes including the background.
        groups: groups of scores.
        window: side of the windows of ``local_betti`` in pixels.
        frame: frame of ``betti_matching``, see `wsss.metrics.betti_matching_error`.
        skip_uncertain: ignore uncertain pixels, as if the truth were 255 there.
        transposed: option of `wsss.metrics.cldice`.

    Returns:
        Class index → scores in the order of `columns_of`, for the classes present in either mask.
    """
    counted = truth != IGNORE
    if skip_uncertain:
        counted &= prediction != IGNORE
    scores = {}
    for index in range(1, classes):
        pred, gt = (prediction == index) & counted, (truth == index) & counted
        if pred.any() or gt.any():
            scores[index] = _scores(pred, gt, groups, window, frame, transposed)
    return scores


def _scores(
    pred: NDArray[np.bool_], gt: NDArray[np.bool_], groups: Sequence[Group], window: int, frame: Frame, transposed: bool
) -> list[float]:
    from wsss.metrics import overlap, surface, topology

    def matching() -> tuple[float, ...]:
        error = topology.betti_matching_error(pred, gt, frame=frame)
        return error.total, error.dim0, error.dim1

    scores: Mapping[Group, Callable[[], Sequence[float]]] = {
        "betti": lambda: topology.betti_error(pred, gt),
        "local_betti": lambda: topology.local_betti_error(pred, gt, window=window),
        "betti_matching": matching,
        "cldice": lambda: (topology.cldice(pred, gt, transposed=transposed),),
        "hd95": lambda: (surface.hd95(pred, gt),),
        "dice": lambda: (overlap.dice(pred, gt),),
    }
    return [float(value) for group in COLUMNS if group in groups for value in scores[group]()]


def summarise(
    per_image: Sequence[Mapping[int, Sequence[float]]], names: Sequence[str], groups: Sequence[Group]
) -> dict[str, Any]:
    """Return means and standard deviations (ddof 1) over the images of each class, and the mean over classes.

    Args:
        per_image: result of `structure_scores` for each image.
        names: class names, background first.
        groups: groups of scores.

    Returns:
        ``{"classes": {name: {"images": n, score: {"mean", "std"}}}, "mean": {score: value}}``. Images without the class
        in label and prediction are left out. Classes without images have ``None`` and are excluded from the mean; the
        standard deviation of a single image is ``None``.
    """
    columns = columns_of(groups)
    classes: dict[str, Any] = {}
    for index, name in enumerate(names[1:], 1):
        rows = np.array([image[index] for image in per_image if index in image]).reshape(-1, len(columns))
        scores = {
            column: {
                "mean": float(rows[:, i].mean()) if len(rows) else None,
                "std": float(rows[:, i].std(ddof=1)) if len(rows) > 1 else None,
            }
            for i, column in enumerate(columns)
        }
        classes[name] = {"images": len(rows), **scores}
    means = {}
    for column in columns:
        values = [scores[column]["mean"] for scores in classes.values() if scores["images"]]
        means[column] = float(np.mean(values)) if values else None
    return {"classes": classes, "mean": means}


def table_rows(
    ids: Sequence[str],
    per_image: Sequence[Mapping[int, Sequence[float]]],
    names: Sequence[str],
    groups: Sequence[Group],
) -> list[list[str]]:
    """Return a header and one row per image and class: ``image_id, class`` and the scores."""
    rows = [["image_id", "class", *columns_of(groups)]]
    for image_id, scores in zip(ids, per_image, strict=True):
        rows += [[image_id, names[index], *(f"{value:.6g}" for value in scores[index])] for index in sorted(scores)]
    return rows
