"""Soft clDice: Dice of centrelines (Shit et al., CVPR 2021) on soft skeletons."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wsss.losses.base import labelled
from wsss.losses.cache import LabelCache
from wsss.losses.config import ClDiceConfig
from wsss.losses.term import LossWithTerm, foreground, one_hot


class ClDiceLoss(LossWithTerm):
    """``base_weight · base + alpha · (1 − 2 P S / (P + S))`` with topology precision P and sensitivity S.

    ``P = (Σ skel(p) g + s) / (Σ skel(p) + s)`` and ``S = (Σ skel(g) p + s) / (Σ skel(g) + s)`` of probabilities p and
    labels g, with ``smooth`` s. The sums run over all pixels of the batch and all classes except the background, as in
    the authors' code; with ``per_image`` over each image, followed by the mean, as in MONAI. Ignored pixels are
    background in both. The term is 0 if neither label nor prediction has foreground, and never NaN.

    The label's skeleton has no gradient. On a CPU it is cached per sample (`LabelCache`); on a GPU computing it is
    faster.

    ``active_from`` requires a call of `begin_step` before each training step; otherwise the term is active from the
    first call of the loss.

    Example:
        >>> import torch
        >>> from wsss.losses import ClDiceLoss
        >>> loss = ClDiceLoss(iterations=5, alpha=0.3)
        >>> logits = torch.randn(2, 1, 64, 64, requires_grad=True)
        >>> loss(logits, torch.randint(0, 2, (2, 64, 64))).backward()
        >>> logits.grad.shape
        torch.Size([2, 1, 64, 64])
    """

    config_type = ClDiceConfig
    config: ClDiceConfig

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.cache = LabelCache(self._label_skeleton, self.config.cache_mb)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return ``1 − clDice``; see `LossWithTerm.term`."""
        smooth, mask = self.config.smooth, labelled(target)
        probabilities = foreground(logits) * mask.unsqueeze(1)
        labels = one_hot(target, logits.shape[1])
        skeletons = (self._label_skeleton if labels.is_cuda else self.cache)(labels).to(probabilities.dtype)
        classes = labels.to(probabilities.dtype)
        predicted = soft_skeleton(probabilities, self.config.iterations)
        axes = (1, 2, 3) if self.config.per_image else (0, 1, 2, 3)
        precision = ((predicted * classes).sum(axes) + smooth) / (predicted.sum(axes) + smooth)
        sensitivity = ((skeletons * probabilities).sum(axes) + smooth) / (skeletons.sum(axes) + smooth)
        losses = 1 - 2 * precision * sensitivity / (precision + sensitivity)
        if not self.config.per_image:
            return losses
        included = mask.flatten(1).any(1)  # images without a labelled pixel have a loss of 0
        return losses.sum() / included.sum().clamp_min(1)

    def _label_skeleton(self, labels: Tensor) -> Tensor:
        with torch.no_grad():
            return soft_skeleton(labels.float(), self.config.iterations) > 0.5


def soft_skeleton(image: Tensor, iterations: int) -> Tensor:
    """Return the soft skeleton: the parts that openings remove from the image and from its erosions.

    Algorithm 1 of Shit et al., CVPR 2021, with the refinement of the authors' code that no pixel counts twice. Each
    erosion is computed once: the erosion inside an opening is the image of the next iteration. The skeleton of a mask
    is a mask.

    Args:
        image: ``(…, H, W)`` in [0, 1], three- or four-dimensional.
        iterations: number of erosions; structures up to about twice as wide are thinned to their centre.

    Returns:
        The same shape, in [0, 1] up to rounding.
    """
    eroded = _erode(image)
    skeleton = (image - _dilate(eroded)).relu()
    for _ in range(iterations):
        image, eroded = eroded, _erode(eroded)
        removed = (image - _dilate(eroded)).relu()
        skeleton = skeleton + removed * (1 - skeleton)
    return skeleton


def _erode(image: Tensor) -> Tensor:
    """Return the minimum over a cross of 3 × 3 pixels inside the image."""
    negative = -image
    down = F.max_pool2d(negative, (3, 1), 1, (1, 0))
    across = F.max_pool2d(negative, (1, 3), 1, (0, 1))
    return -torch.maximum(down, across)


def _dilate(image: Tensor) -> Tensor:
    """Return the maximum over a square of 3 × 3 pixels; two passes are faster than one."""
    return F.max_pool2d(F.max_pool2d(image, (3, 1), 1, (1, 0)), (1, 3), 1, (0, 1))
