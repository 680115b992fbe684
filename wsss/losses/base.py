"""The registry of losses, and what every loss is.

A loss is a module called with

* ``logits`` ``(B, C, H, W)``, any real values, and
* ``target`` ``(B, H, W)`` int64, class indices 0 … C − 1, or 255 for ignored pixels; or, for a loss that
  `Loss.takes_soft`, class probabilities ``(B, C, H, W)``, all 0 for ignored pixels.

Logits of one channel, ``(B, 1, H, W)``, are those of the foreground. Other usual forms are converted: see `prepared`.

It returns a scalar. Ignored pixels have no gradient, and neither value nor gradient depends on their logits, even if
these are NaN; where all pixels are ignored the loss is 0 with zero gradients. NaN at any other pixel gives NaN.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput, closest, listing
from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.inputs import check_distribution, check_foreground, check_form, check_logits
from wsss.losses.targets import check_indices, checked_once

LOSSES = {
    "ce": "wsss.losses.region:CrossEntropy",
    "dice": "wsss.losses.region:Dice",
    "ce_dice": "wsss.losses.region:CrossEntropyDice",
    "region_wise": "wsss.losses.region_wise:RegionWiseLoss",
    "betti_matching": "wsss.losses.betti_matching:BettiMatchingLoss",
    "cldice": "wsss.losses.cldice:ClDiceLoss",
    "skeleton_recall": "wsss.losses.skeleton_recall:SkeletonRecallLoss",
    "topo": "wsss.losses.topo_window:TopoWindowLoss",
    "topoloss": "wsss.losses.topoloss:TopoLoss",
    "cbdice": "wsss.losses.cbdice:CbDiceLoss",
    "warping": "wsss.losses.warping_loss:WarpingLoss",
}
"""Name → module and class; the class is made from its config."""


class Loss(nn.Module):
    """Base of all losses.

    Attributes:
        takes_soft: whether the target may be probabilities; a loss that doesn't is given `hard` ones.
    """

    takes_soft = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss, as any module; the target is checked once, also where a base loss gets it too."""
        with checked_once():
            return super().__call__(*args, **kwargs)

    def begin_step(self, step: int, steps: int) -> None:
        """Say that training step ``step`` (0 … ``steps`` − 1) comes next; for losses that change over training."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of ``logits`` ``(B, C, H, W)`` and ``target`` ``(B, H, W)``."""
        raise NotImplementedError


def build_loss(config: Any) -> Loss:
    """Build a loss from its config (see `wsss.losses.config.LossConfig`).

    Raises:
        InvalidInput: no loss of this name.
    """
    if config.name not in LOSSES:
        raise InvalidInput(
            f"loss.name: unknown loss {config.name!r}; allowed are {listing(LOSSES, limit=40)}"
            f"{closest(config.name, LOSSES)}"
        )
    module, name = LOSSES[config.name].split(":")
    loss: Loss = getattr(import_module(module), name)(config)
    return loss


def known(target: Tensor) -> Tensor:
    """Return ``(B, H, W)`` bool: the pixels of which the target, indices or probabilities, says something."""
    return target.sum(1) > 0.5 if is_soft(target) else target != IGNORE


def is_soft(target: Tensor) -> bool:
    """Tell whether a target holds probabilities ``(B, C, H, W)`` rather than class indices ``(B, H, W)``."""
    return target.ndim == 4


def hard(target: Tensor) -> Tensor:
    """Return the most probable class of each pixel, ``(B, H, W)`` int64, 255 where nothing is known.

    A target of class indices is returned as it is.
    """
    return target.argmax(1).masked_fill_(~known(target), IGNORE) if is_soft(target) else target


def full_precision(logits: Tensor) -> Tensor:
    """Return logits of half precision as float32 (sums over pixels need it); others as they are."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def prepared(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits and target in the form that losses compute with.

    Args:
        logits: ``(B, C, H, W)`` of any float type; one channel is the foreground's, and stands for two of which the
            background's is 0, since softmax then gives the foreground its sigmoid.
        target: ``(B, H, W)`` class indices of bool or any integer type, with or without a channel of one; or
            probabilities ``(B, C, H, W)``; or, beside logits of one channel, the foreground's probabilities
            ``(B, 1, H, W)``.

    Returns:
        Logits ``(B, max(C, 2), H, W)``, float32 or float64, and the target as `wsss.losses.base` has it.

        Logits of ignored pixels are 0 whatever they were, so that no loss reads them: neither its value nor its
        gradient depends on them, not even on NaN.

    Raises:
        InvalidInput: the target is of another batch, size or number of classes, class indices are floats, one is
            neither 0 … C − 1 nor 255, or probabilities are no distribution (see `wsss.losses.inputs`).
    """
    check_logits(logits)
    channels = logits.shape[1]
    if channels == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    if target.ndim == 4 and target.shape[1] == 1:
        if not target.is_floating_point():
            target = target.squeeze(1)
        elif channels == 1:
            check_foreground(target)
            target = torch.cat([1 - target, target], 1)
    check_form(target, logits)
    logits = full_precision(logits)
    if is_soft(target):
        check_distribution(target)
        target = target.to(logits.dtype)
    else:
        target = target if target.dtype == torch.int64 else target.long()
        check_indices(target, logits.shape[1])
    return _without_ignored(logits, known(target)), target


def _without_ignored(logits: Tensor, mask: Tensor) -> Tensor:
    """Return logits that are 0, without a gradient, where the mask ``(B, H, W)`` is False."""
    return logits if mask.all() else torch.where(mask.unsqueeze(1), logits, 0.0)


def nothing(logits: Tensor) -> Tensor:
    """Return a 0 that is connected to ``logits``, whatever their values, so that it has a gradient (zeros)."""
    return full_precision(logits[:0]).sum()


def not_a_number(logits: Tensor) -> Tensor:
    """Return a NaN that is connected to ``logits``; its gradient is NaN."""
    return (full_precision(logits) * math.nan).sum()
