"""Skeleton Recall (Kirchhoff et al., ECCV 2024): recall of the dilated skeleton of the label."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss.losses.base import labelled
from wsss.losses.cache import LabelCache
from wsss.losses.config import SkeletonRecallConfig
from wsss.losses.term import LossWithTerm, foreground, one_hot
from wsss.topology import skeleton


class SkeletonRecallLoss(LossWithTerm):
    """``base_weight · base + alpha · (1 − mean_c (Σ t_c p_c + s) / (Σ t_c + s))``.

    p are probabilities and s is ``smooth``; sums are over the batch, the mean is over all classes except the
    background. t_c is the skeleton of the whole foreground (Zhang and Suen), dilated ``dilations`` times by a cross and
    restricted to class c. This is the authors' loss plus the constant 1, so that a perfect prediction has a loss of 0.
    Ignored pixels are treated as background.

    A class without any pixel of the skeleton (such as a ring around another class) always has a recall of 1, so only
    the base loss covers it. `ClDiceLoss` treats each class separately.

    Skeletons are computed on the CPU and cached per sample (`LabelCache`).

    ``active_from`` requires a call of `begin_step` before each training step; otherwise the term is active from the
    first call of the loss.

    Example:
        >>> import torch
        >>> from wsss.losses import SkeletonRecallLoss
        >>> loss = SkeletonRecallLoss(base_weight=0, dilations=1)
        >>> target = torch.zeros(1, 16, 16, dtype=torch.long)
        >>> target[:, 7:10] = 1
        >>> loss(torch.full((1, 1, 16, 16), 20.0), target).item() < 1e-6  # everything is recalled
        True
    """

    traceable = False
    config_type = SkeletonRecallConfig
    config: SkeletonRecallConfig

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.cache = LabelCache(partial(dilated_skeleton, dilations=self.config.dilations), self.config.cache_mb)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return ``1 − recall``; see `LossWithTerm.term`."""
        tubes = self.cache(one_hot(target, logits.shape[1])).to(logits.dtype)
        recalled = (tubes * foreground(logits) * labelled(target).unsqueeze(1)).sum((0, 2, 3))
        recall = (recalled + self.config.smooth) / (tubes.sum((0, 2, 3)) + self.config.smooth)
        return 1 - recall.mean()


def dilated_skeleton(labels: Tensor, dilations: int) -> Tensor:
    """Return the skeleton of the union of all classes, dilated ``dilations`` times by a cross and split by class.

    Args:
        labels: ``(C, H, W)`` bool CPU tensor, one channel per foreground class.
        dilations: number of dilations.

    Returns:
        ``(C, H, W)`` bool.
    """
    from scipy.ndimage import binary_dilation

    dilated = skeleton(labels.any(0).numpy())
    if dilations:  # with iterations=0, SciPy would dilate until nothing changes
        dilated = binary_dilation(dilated, iterations=dilations)
    return labels & torch.from_numpy(np.ascontiguousarray(dilated))
