"""Scores of image-level classification with several labels per image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MultilabelScores:
    """Scores over the classes with a positive image.

    Args:
        mean_average_precision: macro mean of ``average_precision``; ``None`` without such a class.
        f1: macro mean of F1 at probability ½.
        average_precision: class → average precision.
        absent: classes without a positive image, excluded from the means.
    """

    mean_average_precision: float | None
    f1: float | None
    average_precision: dict[int, float]
    absent: tuple[int, ...]


def multilabel_scores(probabilities: NDArray[np.floating], labels: NDArray[np.floating]) -> MultilabelScores:
    """Score probabilities of classes on the images with a known label.

    Args:
        probabilities: ``(N, K)`` in [0, 1].
        labels: ``(N, K)``: 1 present, 0 absent, NaN unknown.
    """
    present = [k for k in range(labels.shape[1]) if (labels[:, k] > 0).any()]
    pairs = {k: _known(probabilities[:, k], labels[:, k]) for k in present}
    precision = {k: average_precision(*pairs[k]) for k in present}
    f1 = [_f1(scores > 0.5, truth) for scores, truth in pairs.values()]
    absent = tuple(k for k in range(labels.shape[1]) if k not in precision)
    if not present:
        return MultilabelScores(None, None, {}, absent)
    return MultilabelScores(float(np.mean(list(precision.values()))), float(np.mean(f1)), precision, absent)


def _known(
    scores: NDArray[np.floating], labels: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    known = ~np.isnan(labels)
    return scores[known], labels[known] > 0


def average_precision(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """Return ``Σ (R_n − R_{n−1}) P_n`` over the thresholds n, without interpolation.

    Args:
        scores: ``(N,)``; equal scores share a threshold.
        labels: ``(N,)``, at least one True.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # last image at each threshold
    hits = np.cumsum(positive)[last]
    recall = hits / positive.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * hits / (last + 1)))


def _f1(predicted: NDArray[np.bool_], labels: NDArray[np.bool_]) -> float:
    """Return ``2·TP / (2·TP + FP + FN)``; for classes with a positive image."""
    return float(2 * (predicted & labels).sum() / (predicted.sum() + labels.sum()))
