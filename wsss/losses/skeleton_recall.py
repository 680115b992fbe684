"""Skeleton Recall (Kirchhoff et al., ECCV 2024): how much of the label's tubed skeleton is predicted."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from wsss.losses.base import known
from wsss.losses.cache import LabelCache
from wsss.losses.config import SkeletonRecallConfig
from wsss.losses.term import LossWithTerm, foreground, one_hot
from wsss.topology import skeleton


class SkeletonRecallLoss(LossWithTerm):
    """``base_weight · base + alpha · (1 − mean_c (Σ t_c p_c + s) / (Σ t_c + s))``.

    p are probabilities, s is ``smooth``, the sums run over the batch, the mean over all classes but the background. t_c
    is the skeleton of the whole foreground (Zhang and Suen), dilated ``tube`` times by a cross, inside class c: as in
    the authors' code, but for the constant 1, which makes a perfect prediction cost 0. Nothing but the label is
    skeletonised, so the gradient is that of a weighted sum. Pixels of unknown class are background.

    A class that the skeleton of the whole foreground does not pass through (a ring around another class) has a recall
    of 1, whatever is predicted: the base loss alone sees it. `ClDiceLoss` treats each class by itself.

    Skeletons are computed on the CPU, wherever the logits are, and kept per sample (`LabelCache`).
    """

    def __init__(self, config: SkeletonRecallConfig | None = None) -> None:
        config = config or SkeletonRecallConfig()
        super().__init__(config)
        self.smooth = config.smooth
        self.cache = LabelCache(partial(tubed_skeleton, tube=config.tube), config.cache_mb)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return ``1 − recall``; see `LossWithTerm.term`."""
        tubes = self.cache(one_hot(target, logits.shape[1])).to(logits.dtype)
        found = (tubes * foreground(logits) * known(target).unsqueeze(1)).sum((0, 2, 3))
        recall = (found + self.smooth) / (tubes.sum((0, 2, 3)) + self.smooth)
        return 1 - recall.mean()


def tubed_skeleton(labels: Tensor, tube: int) -> Tensor:
    """Return the skeleton of the union of all classes, dilated ``tube`` times by a cross, inside each class.

    Args:
        labels: ``(C, H, W)`` bool, on the CPU.
        tube: number of dilations.

    Returns:
        ``(C, H, W)`` bool.
    """
    from scipy.ndimage import binary_dilation

    line = skeleton(labels.any(0).numpy())
    thick = binary_dilation(line, iterations=tube) if tube else line  # 0 iterations would mean: until nothing changes
    return labels & torch.from_numpy(np.ascontiguousarray(thick))
