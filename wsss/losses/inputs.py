"""Validation of what losses are given: shapes, types, and soft targets that are distributions over the classes."""

from __future__ import annotations

import torch
from torch import Tensor

from wsss.errors import InvalidInput

TOLERANCE = 0.01
"""By how much the probabilities of a pixel may miss their sum: float16 and bfloat16 round each of them."""


def check_logits(logits: Tensor) -> None:
    """Require logits ``(B, C, H, W)`` of a float type, with at least one channel.

    Raises:
        InvalidInput: they are not.
    """
    if logits.ndim != 4 or not logits.shape[1]:
        raise InvalidInput(f"logits: (B, C, H, W) is needed, found {shape_of(logits)}")
    if not logits.is_floating_point():
        raise InvalidInput(f"logits: floats are needed, found {logits.dtype}")


def check_form(target: Tensor, logits: Tensor) -> None:
    """Require class indices ``(B, H, W)`` of an integer type, or floats of the shape of the logits.

    Args:
        target: as the caller gave it.
        logits: ``(B, C, H, W)`` with C ≥ 2.

    Raises:
        InvalidInput: other shapes or types, with a hint that fits what was found.
    """
    indices = target.shape == (logits.shape[0], *logits.shape[2:]) and not target.is_floating_point()
    probabilities = target.shape == logits.shape and target.is_floating_point()
    if not indices and not probabilities:
        one_hot = target.shape == logits.shape
        raise InvalidInput(
            f"target: {shape_of(target)} of {target.dtype} does not go with logits {shape_of(logits)}; expected class "
            "indices (B, H, W) of integers, or probabilities (B, C, H, W) of floats"
            f"{', got one channel of integers per class (one-hot)' if one_hot else ''}",
            hint=_of_one_hot(target) if one_hot else _hint(target, logits),
        )


def _of_one_hot(target: Tensor) -> str:
    indices = "target.long().argmax(1)" if target.dtype == torch.bool else "target.argmax(1)"
    return f"Pass class indices, {indices}; or target.float(), which ignores pixels without any class."


def _hint(target: Tensor, logits: Tensor) -> str:
    """Return how to convert another target to class indices or probabilities."""
    if not target.is_floating_point():
        return "Pass one class index for each pixel of the logits."
    hint = "Of class indices as floats, pass target.long()."
    if target.ndim == 3 and logits.shape[1] == 2:
        hint += " Of foreground probabilities, pass target.unsqueeze(1) beside logits of one channel."
    return hint


def check_foreground(target: Tensor) -> None:
    """Require foreground probabilities in [0, 1].

    Raises:
        InvalidInput: how many pixels have other values, and one of them.
    """
    wrong = ~((target >= 0) & (target <= 1))  # so that NaN is wrong
    if wrong.any():
        raise InvalidInput(
            f"target: {int(wrong.sum())} of {wrong.numel()} pixels hold no foreground probability, for example "
            f"{target[wrong][0].item():.4g}; expected values from 0 to 1",
            hint="Of class indices as floats (0, 1, 255), pass target.long(); of scores, pass target.sigmoid().",
        )


def check_distribution(target: Tensor) -> None:
    """Require that the probabilities of each pixel are ≥ 0 and sum to 1, or are all 0 (ignored).

    Args:
        target: ``(B, C, H, W)`` floats.

    Raises:
        InvalidInput: how many pixels have other values, and one of them.
    """
    sums = target.sum(1, dtype=torch.promote_types(target.dtype, torch.float32))
    fits = ((sums - 1).abs() <= TOLERANCE) | (sums == 0)
    wrong = ~(fits & (target >= 0).all(1))  # so that NaN is wrong
    if wrong.any():
        example = ", ".join(f"{value:.4g}" for value in target.movedim(1, -1)[wrong][0].tolist())
        raise InvalidInput(
            f"target: {int(wrong.sum())} of {wrong.numel()} pixels hold no class probabilities, for example "
            f"({example}); expected values ≥ 0 that sum to 1, or all 0 for an ignored pixel",
            hint="Of scores, pass target.softmax(1); of class indices as floats, pass target.long().",
        )


def shape_of(tensor: Tensor) -> str:
    """Return a shape as text: ``(2, 3, 16, 16)``."""
    return f"({', '.join(map(str, tensor.shape))})"
