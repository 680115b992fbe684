"""Region losses: cross-entropy, soft Dice, and their sum."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.base import Loss, hard, is_soft, is_unlabelled, labelled_mask, prepared, weighted_logs, zero_loss
from wsss.losses.config import CrossEntropyConfig, CrossEntropyDiceConfig, DiceConfig


class CrossEntropyLoss(Loss):
    """``−mean log p(target)`` over the labelled pixels.

    If the target is probabilities t, the loss is ``−mean Σ_c t_c log p_c``.

    Example:
        >>> import torch
        >>> from wsss.losses import CrossEntropyLoss
        >>> target = torch.tensor([[[0, 1, 255]]])  # 255 is ignored
        >>> round(CrossEntropyLoss()(torch.zeros(1, 2, 1, 3), target).item(), 4)
        0.6931
    """

    config_type = CrossEntropyConfig
    config: CrossEntropyConfig
    takes_soft = True

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        mask = labelled_mask(target)
        if is_unlabelled(target, mask):
            return zero_loss(logits)
        return self.of_log_probabilities(logits.log_softmax(1), target, mask)

    def of_log_probabilities(self, logs: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Return the loss of log-probabilities.

        Args:
            logs: log-probabilities ``(B, C, H, W)``.
            target: see `wsss.losses.base`.
            mask: the `labelled` pixels, ``(B, H, W)`` bool, at least one; ``None``: all.
        """
        smoothing = self.config.label_smoothing
        if is_soft(target):
            spread = target * (1 - smoothing) + smoothing / logs.shape[1]
            per_pixel = -weighted_logs(spread, logs).sum(1)
            return per_pixel.sum() / per_pixel.numel() if mask is None else (per_pixel * mask).sum() / mask.sum()
        if smoothing:
            return F.cross_entropy(logs, target, ignore_index=IGNORE, label_smoothing=smoothing)
        return F.nll_loss(logs, target, ignore_index=IGNORE)


class DiceLoss(Loss):
    """``1 − mean_c (2 Σ p_c g_c + s) / (Σ p_c + Σ g_c + s)`` of softmax probabilities p and one-hot targets g.

    Milletari et al., 3DV 2016, with plain sums in the denominator; the mean runs over classes (with ``per_image`` also
    over images). Classes without a target pixel are excluded from the mean (``absent="skip"``), or have a Dice of
    ``s / (Σ p_c + s)``. If all are excluded, the loss is 0.

    If the target is probabilities, they are g, and a class that is not the most probable class of any pixel is absent.

    Example:
        >>> import torch
        >>> from wsss.losses import DiceLoss
        >>> target = torch.tensor([[[0, 1, 1]]])
        >>> round(DiceLoss(background=False)(torch.zeros(1, 1, 1, 3), target).item(), 4)
        0.4286
    """

    config_type = DiceConfig
    config: DiceConfig
    takes_soft = True

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        mask = labelled_mask(target)
        if is_unlabelled(target, mask):
            return zero_loss(logits)
        return self.of_probabilities(logits.softmax(1), target, mask)

    def of_probabilities(self, probabilities: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Return the loss of probabilities ``(B, C, H, W)``; see `CrossEntropyLoss.of_log_probabilities`."""
        config = self.config
        indices = torch.arange(probabilities.shape[1], device=target.device).view(1, -1, 1, 1)
        winners = hard(target).unsqueeze(1) == indices  # False at ignored pixels; much faster than F.one_hot
        # The conversion of bytes is vectorised, that of bool is not: 6× faster.
        classes = target if is_soft(target) else winners.view(torch.uint8).to(probabilities.dtype)
        if mask is not None:
            weight = mask.unsqueeze(1).to(probabilities.dtype)
            probabilities, classes = probabilities * weight, classes * weight
        axes = (2, 3) if config.per_image else (0, 2, 3)
        overlap, area = (probabilities * classes).sum(axes), classes.sum(axes)
        dice = (2 * overlap + config.smooth) / (probabilities.sum(axes) + area + config.smooth)
        included = torch.ones_like(dice, dtype=torch.bool)
        if config.absent == "skip":
            included = (winners.sum(axes) if is_soft(target) else area) > 0
        if config.per_image and mask is not None:
            included = included & mask.flatten(1).any(1).unsqueeze(1)  # exclude images without a labelled pixel
        if not config.background:
            dice, included = dice[..., 1:], included[..., 1:]
        # If all are excluded, 0 instead of 1; no branch on a value, which would have to be fetched from the device.
        best = included.any().to(dice.dtype)
        return best - (dice * included).sum() / included.sum().clamp(min=1)


class CrossEntropyDiceLoss(Loss):
    """``ce_weight · cross-entropy + dice_weight · Dice``; see `CrossEntropyLoss` and `DiceLoss`.

    Example:
        >>> import torch
        >>> from wsss.losses import CrossEntropyDiceLoss
        >>> loss = CrossEntropyDiceLoss(dice={"background": False}, ce_weight=0.5)
        >>> round(loss(torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 1]]])).item(), 4)
        0.7751
    """

    config_type = CrossEntropyDiceConfig
    config: CrossEntropyDiceConfig
    takes_soft = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.ce, self.dice = CrossEntropyLoss.from_config(self.config.ce), DiceLoss.from_config(self.config.dice)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        mask = labelled_mask(target)
        if is_unlabelled(target, mask):
            return zero_loss(logits)
        logs = logits.log_softmax(1)
        ce = self.ce.of_log_probabilities(logs, target, mask)
        dice = self.dice.of_probabilities(logs.exp(), target, mask)
        return self.config.ce_weight * ce + self.config.dice_weight * dice
