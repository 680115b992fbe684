"""Deep supervision: the weighted sum of a loss over the outputs of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from wsss.errors import InvalidInput, Verbatim
from wsss.losses.base import Loss, zero_loss
from wsss.losses.term import LossWithTerm

Outputs = Tensor | Sequence[Tensor]


class DeepSupervision(nn.Module):
    """``Σ_k w_k · loss(outputs[k], targets[k])``, the finest output first.

    Args:
        loss: a `Loss` of this package, or of a class derived from it.
        weights: numbers of at least 0, one per output; by default each is half of the previous one, and their sum is 1
            (as in nnU-Net, Isensee et al., 2021, which also sets the last one to 0).
        term: outputs with a topological term, ``"all"``, or ``"finest"``: coarser outputs have only the base loss.

    Example:
        >>> import torch
        >>> from wsss.losses import ClDiceLoss, DeepSupervision
        >>> outputs = [torch.randn(2, 2, size, size) for size in (32, 16)]
        >>> loss = DeepSupervision(ClDiceLoss(), weights=(0.75, 0.25))
        >>> loss(outputs, torch.randint(0, 2, (2, 32, 32))).shape
        torch.Size([])
    """

    def __init__(
        self, loss: Loss, weights: Sequence[float] | None = None, *, term: Literal["all", "finest"] = "all"
    ) -> None:
        super().__init__()
        if term not in ("all", "finest"):
            raise InvalidInput(subject="DeepSupervision.term", found=term, allowed=("all", "finest"))
        if not isinstance(loss, Loss):
            raise InvalidInput(
                subject="DeepSupervision.loss",
                found=loss if isinstance(loss, str) else Verbatim(type(loss).__name__),
                allowed="a loss of wsss.losses",
                hint=f"Build it first: wsss.losses.build({loss if isinstance(loss, str) else 'ce'!r}).",
            )
        self.loss, self.term = loss, term
        self.weights = None if weights is None else _valid_weights(weights)

    def begin_step(self, step: int, steps: int) -> None:
        """Announce a training step to the loss."""
        self.loss.begin_step(step, steps)

    def forward(self, outputs: Outputs, target: Outputs) -> Tensor:
        """Return the scalar loss.

        Args:
            outputs: logits ``(B, C, H, W)``, finest first; as a list, or stacked to ``(B, K, C, H, W)`` as by MONAI's
                DynUNet. A single ``(B, C, H, W)`` tensor counts as one output.
            target: one target, resized to smaller outputs by nearest neighbour, or a list with one per output.

        Raises:
            InvalidInput: not tensors, an output larger than its target, or the number of targets or weights differs
                from that of the outputs.
        """
        logits = _listed(outputs)
        targets = (
            [_resized(target, output) for output in logits]
            if isinstance(target, Tensor)
            else _tensors(target, "target")
        )
        weights = halves(len(logits)) if self.weights is None else self.weights
        for subject, values in (("target", targets), ("weights", weights)):
            if len(values) != len(logits):
                raise InvalidInput(
                    subject=subject, found=len(values), allowed=f"{len(logits)}, one per output, the finest first"
                )
        parts = [
            # zero_loss: DDP expects a gradient for the parameters of every output
            weight * self._loss_of_output(index, *pair) if weight else zero_loss(pair[0])
            for index, (weight, pair) in enumerate(zip(weights, zip(logits, targets, strict=True), strict=True))
        ]
        return sum(parts[1:], parts[0])

    def _loss_of_output(self, index: int, logits: Tensor, target: Tensor) -> Tensor:
        loss = self.loss
        if not index or self.term == "all" or not isinstance(loss, LossWithTerm):
            return loss(logits, target)
        before, loss.active = loss.active, False
        try:
            return loss(logits, target)
        finally:
            loss.active = before


def halves(count: int) -> tuple[float, ...]:
    """Return ``count`` weights with sum 1, each half of the previous one."""
    return tuple(0.5**index / (2 - 0.5 ** (count - 1)) for index in range(count))


def _valid_weights(weights: Sequence[float]) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, weights))
    except (TypeError, ValueError):
        numbers = ()
    if isinstance(weights, str) or not numbers or not all(0 <= number < math.inf for number in numbers):
        raise InvalidInput(
            subject="DeepSupervision.weights", found=weights, allowed="finite numbers of at least 0, one per output"
        )
    return numbers


def _tensors(values: Sequence[Tensor], subject: str) -> list[Tensor]:
    """Return the values as a list.

    Raises:
        InvalidInput: not a list or tuple of tensors.
    """
    kind = Verbatim(type(values).__name__)
    if not isinstance(values, list | tuple):
        hint = f"Pass a list of the values, the finest first: list({subject}.values())."
        raise InvalidInput(
            subject=subject,
            found=kind,
            allowed="a tensor or a list of tensors",
            hint=hint if isinstance(values, Mapping) else None,
        )
    for value in values:
        if not isinstance(value, Tensor):
            raise InvalidInput(
                subject=subject, found=Verbatim(f"{kind} with {type(value).__name__}"), allowed="a list of tensors"
            )
    return list(values)


def _listed(outputs: Outputs) -> list[Tensor]:
    if not isinstance(outputs, Tensor):
        listed = _tensors(outputs, "outputs")
        if not listed:
            raise InvalidInput(subject="outputs", found=0, allowed="at least one output")
        return listed
    return list(outputs.unbind(1)) if outputs.ndim == 5 else [outputs]


def _resized(target: Tensor, logits: Tensor) -> Tensor:
    """Return the target at the size of an output, which must not be larger."""
    size = logits.shape[-2:]
    if target.shape[-2:] == size:
        return target
    if target.ndim not in (3, 4):
        raise InvalidInput(
            subject="target",
            found=Verbatim(tuple(target.shape)),
            allowed=f"(B, H, W) or (B, C, H, W) for an output of {tuple(logits.shape)}",
        )
    if any(side > whole for side, whole in zip(size, target.shape[-2:], strict=False)):
        raise InvalidInput(  # often swapped axes, or channels in the last dimension
            "smaller than an output",
            subject="target",
            found=Verbatim(tuple(target.shape)),
            allowed=f"height and width of at least those of the output, {tuple(logits.shape)}",
        )
    pixels = target if target.ndim == 4 else target.unsqueeze(1)
    small = F.interpolate(pixels.float(), size=tuple(size), mode="nearest-exact").to(target.dtype)
    return small if target.ndim == 4 else small.squeeze(1)
