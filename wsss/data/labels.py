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
