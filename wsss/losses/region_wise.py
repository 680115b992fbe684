"""Region-wise loss (Valverde and Tohka, Pattern Recognition 2023) with rectified region-wise maps."""

from __future__ import annotations

import torch
from torch import Tensor

from wsss.losses.base import Loss, hard, known, nothing, prepared
from wsss.losses.cache import LabelCache
from wsss.losses.config import RegionWiseConfig
from wsss.topology import distance_transform


class RegionWiseLoss(Loss):
    """``mean over pixels i and classes k of p_ik z_ik``, shifted so that a perfect prediction costs 0.

    p are softmax probabilities. In the rectified map z, a pixel's own class k has ``−d_ik / max_j d_jk``, d its
    Euclidean distance to the nearest pixel of another class, the maximum over the class in this image; all other
    classes have 1. Being wrong costs more the farther inside a region it is.

    Since probabilities sum to 1, ``Σ_k p_ik z_ik`` is ``(1 + D_i)(1 − p_i) − D_i``, p the probability of the pixel's
    own class and D its distance over the maximum. The ``− D_i`` doesn't depend on the prediction; it is left out here,
    so that the loss is ``mean_i (1 + D_i)(1 − p_i) / C ≥ 0``, with the gradient of the authors' code
    (jmlipman/RegionWiseLoss), whose values are lower by a constant of the label, and negative in the end.

    A pixel of unknown class doesn't count and belongs to no class: regions end where it lies. A class that fills the
    image has no other class to be distant from: the image's outside serves (the paper doesn't say; SciPy's transform,
    used by the authors, leaves the case open).

    Maps are computed on the CPU, wherever the logits are, and kept per sample (`LabelCache`).
    """

    def __init__(self, config: RegionWiseConfig | None = None) -> None:
        super().__init__()
        self.cache = LabelCache(region_wise_weights, (config or RegionWiseConfig()).cache_mb)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        target = hard(target)
        mask = known(target)
        counted = int(mask.sum())
        if not counted:
            return nothing(logits)
        channels = logits.shape[1]
        classes = target.unsqueeze(1) == torch.arange(channels, device=target.device).view(1, -1, 1, 1)
        weights = self.cache(classes).to(logits.dtype)
        own = target.masked_fill(~mask, 0).unsqueeze(1)
        wrong = 1 - logits.softmax(1).gather(1, own).squeeze(1)
        return (weights * wrong).sum() / (channels * counted)


def region_wise_weights(labels: Tensor) -> Tensor:
    """Return ``1 + D``: what a wrong pixel costs.

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
