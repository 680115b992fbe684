"""A topological term beside a loss over regions: ``base_weight · base + alpha · term``."""

from __future__ import annotations

import torch
from torch import Tensor

from wsss.losses.base import Loss, build_loss, hard, not_a_number, nothing, prepared
from wsss.losses.config import TermConfig, WeightedTermConfig


class LossWithTerm(Loss):
    """Base of the losses that add a term to a loss over regions, from a step on (`TermConfig.active_from`).

    Before that step the base loss alone counts, with its weight. Outside training, where nobody says which step it
    is, the term counts.

    With probabilities as target the term is that of the most probable classes: topology is a property of masks. The
    base loss is given the probabilities, if it knows what to do with them.
    """

    takes_soft = True

    def __init__(self, config: WeightedTermConfig, base: Loss | None = None) -> None:
        super().__init__()
        if base is None:
            assert isinstance(config, TermConfig), "a loss without a base of choice brings its own"
            base = build_loss(config.base)
        self.base = base
        self.base_weight, self.alpha, self.active_from = config.base_weight, config.alpha, config.active_from
        self.active = True

    def begin_step(self, step: int, steps: int) -> None:
        """Decide whether the term counts in this step."""
        first = self.active_from * steps if self.active_from < 1 else self.active_from
        self.active = step >= first - 1e-9 * steps  # 0.07 * 100 is a little more than 7
        self.base.begin_step(step, steps)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        if not target.numel():
            return nothing(logits)
        parts: list[Tensor] = []
        labels = hard(target)
        if self.active and self.alpha:
            parts.append(self.alpha * self.term(logits, labels))
        if self.base_weight:
            parts.append(self.base_weight * self.base(logits, target if self.base.takes_soft else labels))
        elif logits.detach().softmax(1).isnan().any():
            return not_a_number(logits)  # a term alone need not read the pixel; a base loss reads all
        return sum(parts, nothing(logits))

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


def log_odds(logits: Tensor) -> Tensor:
    """Return ``log p − log(1 − p)`` ``(B, C − 1, H, W)`` of all classes but the background.

    Of two classes it is the difference of the logits. Where it is positive, the class is more probable than all others
    together.
    """
    if logits.shape[1] == 2:
        return logits[:, 1:] - logits[:, :1]
    classes = range(1, logits.shape[1])
    others = [torch.cat([logits[:, :c], logits[:, c + 1 :]], 1).logsumexp(1) for c in classes]
    return logits[:, 1:] - torch.stack(others, 1)


def one_hot(target: Tensor, classes: int) -> Tensor:
    """Return ``(B, C − 1, H, W)`` bool: where the target is each class but the background; False where unknown."""
    return target.unsqueeze(1) == torch.arange(1, classes, device=target.device).view(1, -1, 1, 1)
