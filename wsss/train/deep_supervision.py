"""The loss of a network with several outputs: a weighted sum, the finest output first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from torch import Tensor

from wsss.errors import InvalidInput
from wsss.losses.base import Loss, zero_loss
from wsss.losses.term import LossWithTerm
from wsss.train.config import DeepSupervisionConfig


def output_weights(config: DeepSupervisionConfig, outputs: int) -> tuple[float, ...]:
    """Return the weights of ``outputs`` outputs, the finest first.

    Without weights of their own they are nnU-Net's (Isensee et al., 2021): each half of the one before, 1 in all. (For
    nnU-Net the coarsest resolution doesn't count; it has no output here.)

    Raises:
        InvalidInput: the config has another number of weights than the network has outputs.
    """
    if config.weights is None:
        halves = [0.5**place for place in range(outputs)]
        return tuple(weight / sum(halves) for weight in halves)
    if len(config.weights) != outputs:
        raise InvalidInput(
            f"deep_supervision.weights: {len(config.weights)} weights, but the network has {outputs} outputs: the "
            f"finest and {outputs - 1} coarser ones (unet.deep_supervision).",
            hint="Give as many weights, the finest first, or leave them out.",
        )
    return config.weights


def deep_loss(loss: Loss, outputs: Sequence[Tensor], target: Tensor, config: DeepSupervisionConfig) -> Tensor:
    """Return ``Σ_k w_k · loss(outputs[k], target)``.

    Args:
        loss: any loss.
        outputs: logits ``(B, C, H, W)``, the finest first.
        target: see `wsss.losses.base`.
        config: weights, and whether coarser outputs have a topological term, too.
    """
    total: Tensor | None = None
    for place, (weight, logits) in enumerate(zip(output_weights(config, len(outputs)), outputs, strict=True)):
        base_only = config.term == "finest" and place > 0 and isinstance(loss, LossWithTerm)
        with _without_term(loss) if base_only else nullcontext():
            # Several processes (DDP) wait for a gradient of every parameter, those of outputs that don't count, too.
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
