"""Losses over regions: cross-entropy, soft Dice, and their sum."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.base import Loss, hard, is_soft, known, nothing, prepared
from wsss.losses.config import CrossEntropyConfig, CrossEntropyDiceConfig, DiceConfig


class CrossEntropy(Loss):
    """``−mean log p(target)`` over the pixels whose class is known.

    With probabilities t as target it is ``−mean Σ_c t_c log p_c``, over pixels with a known t.
    """

    takes_soft = True

    def __init__(self, config: CrossEntropyConfig) -> None:
        super().__init__()
        self.label_smoothing = config.label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        mask = known(target)
        return self.of_logs(logits.log_softmax(1), target, mask) if mask.any() else nothing(logits)

    def of_logs(self, logs: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the same of the logarithms of probabilities, ``(B, C, H, W)``.

        Args:
            logs: see above.
            target: see `wsss.losses.base`.
            mask: ``(B, H, W)`` bool, which pixels are `known`: not none.
        """
        smoothing = self.label_smoothing
        if is_soft(target):
            spread = target * (1 - smoothing) + smoothing / logs.shape[1]
            per_pixel = -(spread * logs).sum(1)
            return (per_pixel * mask).sum() / mask.sum()
        if smoothing:
            return F.cross_entropy(logs, target, ignore_index=IGNORE, label_smoothing=smoothing)
        return F.nll_loss(logs, target, ignore_index=IGNORE)


class Dice(Loss):
    """``1 − mean_c (2 Σ p_c g_c + s) / (Σ p_c + Σ g_c + s)`` with softmax probabilities p and one-hot targets g.

    Milletari et al., 3DV 2016, with plain sums in the denominator; the mean runs over classes (and images, with
    ``per_image``). A class without a target pixel is left out of the mean (``absent: skip``), or is counted: then its
    Dice is ``s / (Σ p_c + s)``. With all left out the loss is 0.

    With probabilities as target g are those, and a class is absent where it is the most probable one of no pixel.
    """

    takes_soft = True

    def __init__(self, config: DiceConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        mask = known(target)
        return self.of_probabilities(logits.softmax(1), target, mask) if mask.any() else nothing(logits)

    def of_probabilities(self, probabilities: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the same of probabilities ``(B, C, H, W)``; for ``mask`` see `CrossEntropy.of_logs`."""
        config = self.config
        indices = torch.arange(probabilities.shape[1], device=target.device).view(1, -1, 1, 1)
        winners = hard(target).unsqueeze(1) == indices  # False where unknown; much faster than F.one_hot
        classes = target if is_soft(target) else winners.to(probabilities.dtype)
        if not mask.all():
            weight = mask.unsqueeze(1).to(probabilities.dtype)
            probabilities, classes = probabilities * weight, classes * weight
        axes = (2, 3) if config.per_image else (0, 2, 3)
        overlap = (probabilities * classes).sum(axes)
        dice = (2 * overlap + config.smooth) / (probabilities.sum(axes) + classes.sum(axes) + config.smooth)
        counted = winners.sum(axes) > 0 if config.absent == "skip" else torch.ones_like(dice, dtype=torch.bool)
        if config.per_image:
            counted = counted & mask.flatten(1).any(1).unsqueeze(1)  # an image of which nothing is known says nothing
        if not config.background:
            dice, counted = dice[..., 1:], counted[..., 1:]
        if not counted.any():
            return (probabilities * 0).sum()  # unlike `nothing`, NaN for NaN
        return 1 - (dice * counted).sum() / counted.sum()


class CrossEntropyDice(Loss):
    """Weighted sum of `CrossEntropy` and `Dice`."""

    takes_soft = True

    def __init__(self, config: CrossEntropyDiceConfig) -> None:
        super().__init__()
        self.ce, self.dice = CrossEntropy(config.ce), Dice(config.dice)
        self.ce_weight, self.dice_weight = config.ce_weight, config.dice_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        mask = known(target)
        if not mask.any():
            return nothing(logits)
        logs = logits.log_softmax(1)  # once for both
        ce, dice = self.ce.of_logs(logs, target, mask), self.dice.of_probabilities(logs.exp(), target, mask)
        return self.ce_weight * ce + self.dice_weight * dice
