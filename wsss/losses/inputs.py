"""Validation of predictions and targets: types, shapes, and probabilities that are distributions over the classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wsss.errors import InvalidInput, Verbatim

TOLERANCE = 0.01
"""Maximum deviation of a sum of probabilities from 1: float16 and bfloat16 round each of them."""

SLICES = "Losses are two-dimensional; pass the slices of a volume as a batch (B · D, C, H, W)."


def check_tensors(logits: Any, target: Any) -> None:
    """Require two tensors that are not volumes.

    Raises:
        InvalidInput: an invalid type, or five dimensions.
    """
    for subject, value in (("logits", logits), ("target", target)):
        if isinstance(value, list | tuple):
            raise InvalidInput(
                subject=subject,
                found=Verbatim(type(value).__name__),
                allowed="a tensor",
                hint="For several outputs (deep supervision) wrap the loss: wsss.losses.DeepSupervision(loss).",
            )
        if not isinstance(value, Tensor):
            raise InvalidInput(
                subject=subject,
                found=Verbatim(type(value).__name__),
                allowed="a tensor",
                hint=f"Pass torch.as_tensor({subject}).",
            )
        if value.ndim == 5:
            raise InvalidInput(
                "volumes are not supported",
                subject=subject,
                found=Verbatim(tuple(value.shape)),
                allowed="images",
                hint=SLICES,
            )


def check_logits(logits: Tensor) -> None:
    """Require logits ``(B, C, H, W)`` of a float type with at least one channel.

    Raises:
        InvalidInput: an invalid shape or type.
    """
    if logits.ndim != 4 or not logits.shape[1]:
        raise InvalidInput(
            subject="logits",
            found=Verbatim(tuple(logits.shape)),
            allowed="shape (B, C, H, W)",
            hint="Add the missing dimension: logits.unsqueeze(1) to (B, H, W), logits.unsqueeze(0) to (C, H, W).",
        )
    if not logits.is_floating_point():
        raise InvalidInput(subject="logits", found=Verbatim(logits.dtype), allowed="floats")


def check_form(target: Tensor, logits: Tensor, channels: int) -> None:
    """Require class indices ``(B, H, W)`` of an integer type, or floats of the shape of the logits.

    Args:
        target: the target, without a channel of one.
        logits: ``(B, C, H, W)`` with C ≥ 2.
        channels: number of channels of the caller's logits, 1 or C.

    Raises:
        InvalidInput: an invalid shape or type; the hint suggests the likely conversion.
    """
    indices = target.shape == (logits.shape[0], *logits.shape[2:]) and not target.is_floating_point()
    probabilities = target.shape == logits.shape and target.is_floating_point()
    if indices or probabilities:
        return
    one_hot = target.shape == logits.shape
    shape = torch.Size([logits.shape[0], channels, *logits.shape[2:]])
    floats = "foreground probabilities (B, 1, H, W)" if channels == 1 else "probabilities (B, C, H, W)"
    raise InvalidInput(
        f"does not match logits {tuple(shape)}",
        subject="target",
        allowed=f"class indices (B, H, W) of integers, or {floats} of floats",
        found=Verbatim(f"{tuple(target.shape)} of {target.dtype}"),
        hint=_one_hot_hint(target) if one_hot else channel_last_hint(target, shape) or _hint(target, channels),
    )


def channel_last_hint(target: Tensor, shape: torch.Size) -> str | None:
    """Return a hint if the target has the shape of the logits, but its channels are the last dimension."""
    if target.ndim != 4 or target.movedim(-1, 1).shape != shape:
        return None
    return "The channels must be the second dimension: target.movedim(-1, 1)."


def _one_hot_hint(target: Tensor) -> str:
    indices = "target.long().argmax(1)" if target.dtype == torch.bool else "target.argmax(1)"
    return (
        f"For one-hot targets set targets='one-hot', or pass class indices, {indices}; for overlapping regions set "
        "multilabel=True."
    )


def _hint(target: Tensor, channels: int) -> str:
    if not target.is_floating_point():
        return SLICES if target.ndim == 4 and target.shape[1] > 1 else "Pass one class index per pixel of the logits."
    hint = "For class indices as floats pass target.long(), or set targets='indices'."
    if target.ndim == 3 and channels <= 2:
        hint += " For foreground probabilities pass target.unsqueeze(1)"
        hint += "." if channels == 1 else " with logits of one channel."
    return hint


def check_foreground(values: Tensor) -> None:
    """Require foreground probabilities in [0, 1].

    Raises:
        InvalidInput: some values are outside this range; the error contains their number and an example.
    """
    wrong = ~((values >= 0) & (values <= 1))  # also true for NaN
    if wrong.any():
        raise InvalidInput(
            f"{int(wrong.sum())} of {wrong.numel()} pixels have an invalid foreground probability",
            subject="target",
            found=float(values[wrong][0]),
            allowed="values from 0 to 1",
            hint="For class indices as floats (0, 1, 255) pass target.long(); for logits pass target.sigmoid().",
        )


def check_distribution(values: Tensor) -> None:
    """Require probabilities ``(B, C, H, W)`` ≥ 0 that sum to 1 at each pixel, or are all 0 (ignored).

    Raises:
        InvalidInput: some values are invalid; the error contains the number of pixels and an example.
    """
    sums = values.sum(1, dtype=torch.promote_types(values.dtype, torch.float32))
    valid = ((sums - 1).abs() <= TOLERANCE) | (sums == 0)
    wrong = ~(valid & (values >= 0).all(1))  # also true for NaN
    if wrong.any():
        raise InvalidInput(
            f"{int(wrong.sum())} of {wrong.numel()} pixels have invalid class probabilities",
            subject="target",
            found=[f"{value:.4g}" for value in values.movedim(1, -1)[wrong][0].tolist()],
            allowed="values ≥ 0 that sum to 1, or all 0 for an ignored pixel",
            hint="For logits pass target.softmax(1); for class indices as floats pass target.long().",
        )
