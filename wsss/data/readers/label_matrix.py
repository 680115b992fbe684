"""Image-level labels as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.sample import require_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.sample import Sample


def label_matrix(samples: Sequence[Sample], classes: int) -> NDArray[np.bool_]:
    """Return image-level labels as ``(N, K)`` bool; column k stands for class k + 1.

    Raises:
        InvalidInput: an image has no labels.
    """
    require_labels(samples)
    labels = np.zeros((len(samples), classes), bool)
    for row, sample in enumerate(samples):
        labels[row, [index - 1 for index in sample.labels or ()]] = True
    return labels


def known_matrix(samples: Sequence[Sample], classes: int) -> NDArray[np.bool_]:
    """Return whether it is known that a class is in an image or is not, ``(N, K)`` bool."""
    known = np.ones((len(samples), classes), bool)
    for row, sample in enumerate(samples):
        known[row, [index - 1 for index in sample.unknown]] = False
    return known


def label_targets(samples: Sequence[Sample], classes: int) -> NDArray[np.float32]:
    """Return training targets ``(N, K)`` float32: 1 present, 0 absent, NaN unknown.

    Raises:
        InvalidInput: an image has no labels.
    """
    present, known = label_matrix(samples, classes), known_matrix(samples, classes)
    return np.where(known, present, np.float32(np.nan)).astype(np.float32)
