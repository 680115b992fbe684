"""Distance maps of labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wsss.topology import distance_transform


def signed_distances(labels: Tensor, longest: float) -> Tensor:
    """Return how far each pixel is inside (positive) or outside (negative) of each label.

    Euclidean, between pixel centres: to the nearest pixel outside, or inside; so the smallest absolute value is 1.

    Args:
        labels: ``(B, C, H, W)`` bool.
        longest: absolute values are clipped here (pixels); a label that is empty, or full, has it everywhere.

    Returns:
        ``(B, C, H, W)`` float32 on the device of ``labels``; computed on the CPU.
    """
    masks = labels.cpu().numpy().reshape(-1, *labels.shape[2:])
    found = np.empty(masks.shape, np.float32)
    for distances, mask in zip(found, masks, strict=True):
        if mask.all() or not mask.any():
            distances[:] = longest if mask[0, 0] else -longest
        else:
            np.subtract(distance_transform(mask), distance_transform(~mask), out=distances)
    return torch.from_numpy(found.clip(-longest, longest)).view(labels.shape).to(labels.device)
