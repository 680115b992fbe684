"""Distance maps of labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wsss.topology.distance import squared_distances


def signed_distances(labels: Tensor, longest: float) -> Tensor:
    """Return how far each pixel is inside (positive) or outside (negative) of each label.

    Euclidean, between pixel centres: to the nearest pixel outside, or inside; so the smallest absolute value is 1.

    Args:
        labels: ``(B, C, H, W)`` bool.
        longest: absolute values are clipped here (pixels); a label that is empty, or full, has it everywhere.

    Returns:
        ``(B, C, H, W)`` float64 on the CPU. They are roots of whole numbers, rounded once: two are equal only where the
        squares are, and a distance is equal to a margin of ``math.sqrt(n)`` only where its square is ``n``.
    """
    masks = labels.cpu().numpy().reshape(-1, *labels.shape[2:])
    found = np.empty(masks.shape)
    for distances, mask in zip(found, masks, strict=True):
        if mask.all() or not mask.any():
            distances[:] = longest if mask.any() else -longest
        else:
            squares = squared_distances(mask) - squared_distances(~mask)  # one of the two is 0
            np.copysign(np.sqrt(np.abs(squares)), squares, out=distances)
    return torch.from_numpy(found.clip(-longest, longest)).view(labels.shape)
