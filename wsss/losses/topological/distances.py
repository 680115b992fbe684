"""Signed distance maps of labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wsss.topology.distance import squared_distances


def signed_distances(labels: Tensor, longest: float) -> Tensor:
    """Return the Euclidean distance of each pixel to the boundary of each label: positive inside, negative outside.

    Distances run between pixel centres, to the nearest pixel outside (or inside), so the smallest absolute value is 1.

    Args:
        labels: ``(B, C, H, W)`` bool.
        longest: maximum absolute value in pixels; also the value throughout an empty (negative) or full label.

    Returns:
        ``(B, C, H, W)`` float64 on the CPU. The values are roots of integers, rounded once, so that comparisons with
        ``math.sqrt(n)`` are exact.
    """
    masks = labels.cpu().numpy().reshape(-1, *labels.shape[2:])
    result = np.empty(masks.shape)
    for distances, mask in zip(result, masks, strict=True):
        if mask.all() or not mask.any():
            distances[:] = longest if mask.any() else -longest
        else:
            squares = squared_distances(mask) - squared_distances(~mask)  # one of the two is 0
            np.copysign(np.sqrt(np.abs(squares)), squares, out=distances)
    return torch.from_numpy(result.clip(-longest, longest)).view(labels.shape)
