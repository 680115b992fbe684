"""Scores of image-level classification with several labels per image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MultilabelScores:
    """Scores over the classes that occur.

    Args:
        mean_average_precision: macro mean of ``average_precision``; ``None`` when no class occurs.
        f1: macro mean of F1 at probability ½ over the same classes.
        average_precision: class position → average precision.
        absent: positions of classes without a positive image; they are in no mean.
    """

    mean_average_precision: float | None
    f1: float | None
    average_precision: dict[int, float]
    absent: tuple[int, ...]


def multilabel_scores(probabilities: NDArray[np.floating], labels: NDArray[np.floating]) -> MultilabelScores:
    """Score probabilities against labels, each class on the images where its label is known.

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
    """Return ``Σ (R_n − R_{n−1}) P_n`` over the thresholds n, without interpolation; equal scores share a threshold.

    Args:
        scores: ``(N,)``.
        labels: ``(N,)``, at least one true.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # the last image at each threshold
    found = np.cumsum(positive)[last]
    recall = found / positive.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * found / (last + 1)))


def _f1(predicted: NDArray[np.bool_], labels: NDArray[np.bool_]) -> float:
    """Return ``2·TP / (2·TP + FP + FN)``; the class occurs, so the denominator isn't 0."""
    return float(2 * (predicted & labels).sum() / (predicted.sum() + labels.sum()))
