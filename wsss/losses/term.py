"""A topological term added to a region loss: ``base_weight · base + alpha · term``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from wsss.losses.base import Loss, build_loss, hard, nan_loss, prepared, zero_loss
from wsss.losses.config import WeightedTermConfig
from wsss.validation import Settings


class LossWithTerm(Loss):
    """Base class of losses with a topological term.

    Before training step ``active_from`` only the weighted base loss counts. Steps are announced by `begin_step`;
    without its calls the term is active from the first call of the loss.

    For probabilities as target, the term uses the most probable classes, since topology is a property of masks; the
    base loss gets the probabilities if it accepts them.

    A call runs, in this order: ``__call__``, `converted` (once per channel of multilabel targets), `forward`,
    `prepared`, `begin_term` if the term is active, then the term and the base loss. Subclasses implement `term`, which
    the default `begin_term` calls; a subclass that overrides `begin_term` returns a function that replaces this call.

    Attributes:
        on_processor: whether the term is computed outside torch. Such a term is computed after the base loss has been
            queued, which a GPU computes at the same time; all other terms are computed before the base loss. The order
            affects the last digits of gradients, in which they are added up.
    """

    on_processor: ClassVar[bool] = False
    config_type: ClassVar[type[Settings]] = WeightedTermConfig
    config: WeightedTermConfig
    takes_soft = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.base = self.make_base()
        self.active = True

    def make_base(self) -> Loss:
        """Return the base loss: by default that of the config."""
        return build_loss(self.config.base)  # type: ignore[attr-defined]  # configs without one override this

    def begin_step(self, step: int, steps: int) -> None:
        """Activate the term from step ``active_from`` on; see `Loss.begin_step`."""
        super().begin_step(step, steps)
        start = self.config.active_from
        first = start * steps if start < 1 else start
        self.active = step >= first - 1e-9 * steps  # 0.07 * 100 is slightly more than 7
        self.base.begin_step(step, steps)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        if not target.numel():
            return zero_loss(logits)
        if not self.config.base_weight and _gives_nan(logits.detach()):
            return nan_loss(logits)  # a term does not read every pixel, a base loss does
        weighted_term = self._begin_weighted_term(logits, target)
        if self.on_processor:
            parts = [self._weighted_base(logits, target), weighted_term()]
        else:
            parts = [weighted_term(), self._weighted_base(logits, target)]
        present = [part for part in parts if part is not None]
        return sum(present[1:], present[0]) if present else zero_loss(logits)

    def _weighted_base(self, logits: Tensor, target: Tensor) -> Tensor | None:
        weight = self.config.base_weight
        return weight * self.base(logits, target if self.base.takes_soft else hard(target)) if weight else None

    def _begin_weighted_term(self, logits: Tensor, target: Tensor) -> Callable[[], Tensor | None]:
        alpha = self.config.alpha
        if not (self.active and alpha):
            return lambda: None
        compute = self.begin_term(logits, hard(target))
        return lambda: alpha * compute()

    def begin_term(self, logits: Tensor, target: Tensor) -> Callable[[], Tensor]:
        """Return a function that computes the value of `term`; `forward` calls it once.

        A loss with `on_processor` starts its transfers from the device here, before the base loss is queued; then it
        does not have to wait for the base loss.
        """
        return lambda: self.term(logits, target)

    def term(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the term of logits ``(B, C, H, W)`` (float32 or float64, C ≥ 2) and target ``(B, H, W)``.

        A scalar ≥ 0, connected to the logits; 0 if all pixels are ignored.
        """
        raise NotImplementedError


def _gives_nan(logits: Tensor) -> bool:
    """Return whether a softmax probability of logits ``(B, C, H, W)`` is NaN; none is if their sum is finite."""
    return not math.isfinite(float(logits.sum())) and bool(logits.softmax(1).isnan().any())


def foreground(logits: Tensor) -> Tensor:
    """Return the softmax probabilities ``(B, C − 1, H, W)`` of all classes except the background."""
    if logits.shape[1] == 2:
        return (logits[:, 1:] - logits[:, :1]).sigmoid_()  # in place: saves the memory of the difference
    return logits.softmax(1)[:, 1:]


def log_odds(logits: Tensor) -> Tensor:
    """Return ``log p − log(1 − p)`` ``(B, C − 1, H, W)`` of all classes except the background.

    For two classes it is the difference of the logits. A positive value means that the class is more probable than all
    others together.
    """
    if logits.shape[1] == 2:
        return logits[:, 1:] - logits[:, :1]
    classes = range(1, logits.shape[1])
    others = [torch.cat([logits[:, :c], logits[:, c + 1 :]], 1).logsumexp(1) for c in classes]
    return logits[:, 1:] - torch.stack(others, 1)


def one_hot(target: Tensor, classes: int) -> Tensor:
    """Return ``(B, C − 1, H, W)`` bool masks of all classes except the background; False at ignored pixels."""
    return target.unsqueeze(1) == torch.arange(1, classes, device=target.device).view(1, -1, 1, 1)
