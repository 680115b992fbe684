"""Region-wise loss (Valverde and Tohka, Pattern Recognition 2023) with rectified region-wise maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wsss.losses.base import Loss, hard, labelled, prepared, zero_loss
from wsss.losses.cache import LabelCache
from wsss.losses.config import RegionWiseConfig
from wsss.topology import distance_transform


class RegionWiseLoss(Loss):
    """Mean over pixels i and classes k of ``p_ik z_ik``, shifted so that a perfect prediction has a loss of 0.

    p are softmax probabilities. In the rectified map z, a pixel's own class k has ``−d_ik / max_j d_jk``, with its
    Euclidean distance d to the nearest pixel of another class and the maximum over the class in this image; all other
    classes have 1. Errors deep inside a region cost more.

    Since probabilities sum to 1, ``Σ_k p_ik z_ik`` is ``(1 + D_i)(1 − p_i) − D_i`` with the probability p of the own
    class and its relative distance D. ``− D_i`` does not depend on the prediction and is omitted, so that the loss is
    ``mean_i (1 + D_i)(1 − p_i) / C ≥ 0``. Its gradient equals that of the authors' code (jmlipman/RegionWiseLoss),
    whose values are lower by a constant that depends on the label.

    Ignored pixels do not count and belong to no class. For a class that fills the image, distances are to the pixels
    around the image (not specified in the paper, and undefined in SciPy's transform, which the authors use).

    Maps are computed on the CPU and cached per sample (`LabelCache`).

    Example:
        >>> import torch
        >>> from wsss.losses import RegionWiseLoss
        >>> RegionWiseLoss()(torch.zeros(1, 2, 8, 8), torch.zeros(1, 8, 8, dtype=torch.long)).item() > 0.25
        True
    """

    traceable = False
    config_type = RegionWiseConfig
    config: RegionWiseConfig

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.cache = LabelCache(region_wise_weights, self.config.cache_mb)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        target = hard(target)
        mask = labelled(target)
        count = int(mask.sum())
        if not count:
            return zero_loss(logits)
        channels = logits.shape[1]
        classes = target.unsqueeze(1) == torch.arange(channels, device=target.device).view(1, -1, 1, 1)
        weights = self.cache(classes).to(logits.dtype)
        own = target.masked_fill(~mask, 0).unsqueeze(1)
        wrong = 1 - logits.softmax(1).gather(1, own).squeeze(1)
        return (weights * wrong).sum() / (channels * count)


def region_wise_weights(labels: Tensor) -> Tensor:
    """Return ``1 + D``, the cost of a wrong pixel.

    Args:
        labels: ``(C, H, W)`` bool on the CPU, at most one class True at each pixel.

    Returns:
        ``(H, W)`` float32 in (1, 2]; 0 where no class is True.
    """
    weights = torch.zeros(labels.shape[1:])
    for label in labels:
        if label.any():
            distances = torch.from_numpy(distance_transform(label.numpy()))
            weights += label + distances / distances.max()
    return weights
