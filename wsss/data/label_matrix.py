"""Image-level labels as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.sample import Sample, require_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray


def label_matrix(samples: Sequence[Sample], classes: int) -> NDArray[np.bool_]:
    """Return image-level labels as ``(N, K)`` bool; column k is class k + 1.

    Raises:
        InvalidInput: unlabelled images.
    """
    require_labels(samples)
    labels = np.zeros((len(samples), classes), bool)
    for row, sample in enumerate(samples):
        labels[row, [index - 1 for index in sample.labels or ()]] = True
    return labels


def label_targets(samples: Sequence[Sample], classes: int) -> NDArray[np.float32]:
    """Return training targets ``(N, K)`` float32: 1 present, 0 absent, NaN unknown.

    Raises:
        InvalidInput: unlabelled images.
    """
    targets = label_matrix(samples, classes).astype(np.float32)
    for row, sample in enumerate(samples):
        targets[row, [index - 1 for index in sample.unknown]] = np.nan
    return targets
