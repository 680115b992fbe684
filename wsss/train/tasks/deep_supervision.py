"""Deep supervision: the weighted sum of the losses of several outputs, the finest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from torch import Tensor

from wsss.errors import InvalidInput, counted
from wsss.losses.base import Loss, zero_loss
from wsss.losses.term import LossWithTerm
from wsss.train.config import DeepSupervisionConfig


def output_weights(config: DeepSupervisionConfig, outputs: int) -> tuple[float, ...]:
    """Return the weights of ``outputs`` outputs, the finest first.

    By default they are nnU-Net's (Isensee et al., 2021): each half of the previous one, with sum 1. (nnU-Net's coarsest
    resolution has weight 0; here it has no output.)

    Raises:
        InvalidInput: the numbers of weights and outputs differ.
    """
    if config.weights is None:
        halves = [0.5**level for level in range(outputs)]
        return tuple(weight / sum(halves) for weight in halves)
    if len(config.weights) != outputs:
        raise InvalidInput(
            subject="deep_supervision.weights",
            allowed=f"{counted(outputs, 'weight')}, one per output of the network (unet.deep_supervision + 1)",
            found=len(config.weights),
            hint="List one weight per output, the finest first, or omit them.",
        )
    return config.weights


def deep_loss(loss: Loss, outputs: Sequence[Tensor], target: Tensor, config: DeepSupervisionConfig) -> Tensor:
    """Return ``Σ_k w_k · loss(outputs[k], target)``.

    Args:
        outputs: logits ``(B, C, H, W)``, the finest first.
        target: see `wsss.losses.base`.
        config: weights, and whether coarser outputs have a topological term.
    """
    total: Tensor | None = None
    for level, (weight, logits) in enumerate(zip(output_weights(config, len(outputs)), outputs, strict=True)):
        base_only = config.term == "finest" and level > 0 and isinstance(loss, LossWithTerm)
        with _without_term(loss) if base_only else nullcontext():
            # DDP waits for gradients of all parameters, also of outputs with weight 0.
            part = weight * loss(logits, target) if weight else zero_loss(logits)
        total = part if total is None else total + part
    assert total is not None, "at least one output"
    return total


@contextmanager
def _without_term(loss: Loss) -> Iterator[None]:
    assert isinstance(loss, LossWithTerm)
    before, loss.active = loss.active, False
    try:
        yield
    finally:
        loss.active = before
