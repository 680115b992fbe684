"""A topological term beside a loss over regions: ``base_weight · base + alpha · term``."""

from __future__ import annotations

import torch
from torch import Tensor

from wsss.losses.base import Loss, build_loss, full_precision
from wsss.losses.config import TermConfig


class LossWithTerm(Loss):
    """Base of the losses that add a term to a loss over regions, from a step on (`TermConfig.active_from`).

    Before that step the base loss alone counts, with its weight. Outside training, where nobody says which step it
    is, the term counts.

    Logits of one channel, ``(B, 1, H, W)``, are those of the foreground: they stand for two channels of which the
    first, the background's, is 0, since softmax then gives the foreground its sigmoid.
    """

    def __init__(self, config: TermConfig) -> None:
        super().__init__()
        self.base = build_loss(config.base)
        self.base_weight, self.alpha, self.active_from = config.base_weight, config.alpha, config.active_from
        self.active = True

    def begin_step(self, step: int, steps: int) -> None:
        """Decide whether the term counts in this step."""
        first = self.active_from * steps if self.active_from < 1 else self.active_from
        self.active = step >= first
        self.base.begin_step(step, steps)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits = full_precision(logits)
        if logits.shape[1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        if not self.active or self.alpha == 0:
            return self.base_weight * self.base(logits, target)
        weighted = self.alpha * self.term(logits, target)
        return weighted + self.base_weight * self.base(logits, target) if self.base_weight else weighted

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the term of logits ``(B, C, H, W)`` (float32 or float64, C ≥ 2) and target ``(B, H, W)``.

        A scalar ≥ 0, connected to the logits; 0 where no pixel has a known class.
        """
        raise NotImplementedError


def foreground(logits: Tensor) -> Tensor:
    """Return the probabilities ``(B, C − 1, H, W)`` of all classes but the background (softmax over channels)."""
    if logits.shape[1] == 2:
        return (logits[:, 1:] - logits[:, :1]).sigmoid_()  # in place: what is subtracted needs no memory of its own
    return logits.softmax(1)[:, 1:]


def one_hot(target: Tensor, classes: int) -> Tensor:
    """Return ``(B, C − 1, H, W)`` bool: where the target is each class but the background; False where unknown."""
    return target.unsqueeze(1) == torch.arange(1, classes, device=target.device).view(1, -1, 1, 1)
