"""Conversion of predictions and targets in other common forms to logits, class indices and probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from wsss.errors import InvalidInput, Verbatim
from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.config import InputForm
from wsss.losses.inputs import TOLERANCE, channel_last_hint, check_logits, check_tensors


def converted(logits: Tensor, target: Tensor, form: InputForm) -> list[tuple[Tensor, Tensor]]:
    """Return pairs of logits and target: one pair, or one per channel of a multi-label target.

    Args:
        logits: predictions ``(B, C, H, W)``.
        target: the target.
        form: the form of both.

    Raises:
        InvalidInput: values that do not match the form, volumes, or values that are not tensors.
    """
    check_tensors(logits, target)
    if not form.from_logits:
        logits = to_logits(logits, independent=form.multilabel)
    if form.targets == "indices":
        target = _indices_of_floats(target)
    elif form.targets == "one-hot":
        target = _indices_of_one_hot(logits, target)
    if form.ignore_index != IGNORE and not target.is_floating_point() and form.targets != "one-hot":
        target = _with_ignored(target, form.ignore_index)
    if not form.multilabel:
        return [(logits, target)]
    if logits.shape != target.shape or logits.ndim != 4:
        raise InvalidInput(
            "multi-label targets need one channel per region",
            subject="target",
            found=Verbatim(tuple(target.shape)),
            allowed=f"the shape (B, C, H, W) of the logits, {tuple(logits.shape)}",
            hint=channel_last_hint(target, logits.shape),
        )
    return list(zip(logits.split(1, 1), target.split(1, 1), strict=True))


def to_logits(probabilities: Tensor, *, independent: bool = False) -> Tensor:
    """Return logits whose softmax (of one channel, or independent ones: sigmoid) gives the probabilities.

    Args:
        probabilities: ``(B, C, H, W)`` floats; clipped by the machine epsilon, for finite gradients. NaN is kept.
        independent: each channel has probabilities of its own.

    Raises:
        InvalidInput: an invalid shape or type, values outside [0, 1], or channels that do not sum to 1.
    """
    check_logits(probabilities)
    wide = torch.promote_types(probabilities.dtype, torch.float32)
    probabilities = probabilities.to(wide)
    single = independent or probabilities.shape[1] == 1
    # Rounding also gives negative ones: 1 − p of a mean of probabilities, for example. They are clipped below.
    wrong = (probabilities < -TOLERANCE) | (probabilities > 1 + TOLERANCE)
    if not single:
        wrong = wrong.any(1) | ((probabilities.sum(1) - 1).abs() > TOLERANCE)
    if wrong.any():
        raise InvalidInput(
            f"{int(wrong.sum())} of {wrong.numel()} predictions are not probabilities",
            subject="probabilities",
            allowed="values from 0 to 1" if single else "values from 0 to 1 that sum to 1 over the channels",
            hint="For logits, omit from_logits=False.",
        )
    epsilon = torch.finfo(wide).eps
    return torch.logit(probabilities, eps=epsilon) if single else probabilities.clamp_min(epsilon).log()


def _indices_of_floats(target: Tensor) -> Tensor:
    if not target.is_floating_point():
        return target
    wrong = target != target.round()  # also true for NaN
    if wrong.any():
        raise InvalidInput(subject="target", found=float(target[wrong][0]), allowed="class indices")
    return target.long()


def _indices_of_one_hot(logits: Tensor, target: Tensor) -> Tensor:
    """Return class indices ``(B, H, W)`` of a channel per class, 255 at pixels without a class.

    A single channel is the foreground's, without ignored pixels. Logits of one channel stand for two classes.
    """
    check_logits(logits)
    batch, channels, *size = logits.shape
    if target.shape not in ((batch, channels, *size), (batch, max(channels, 2), *size)):
        raise InvalidInput(
            "one-hot targets have a channel per class",
            subject="target",
            found=Verbatim(tuple(target.shape)),
            allowed=f"the shape (B, C, H, W) of the logits, {tuple(logits.shape)}",
            hint=channel_last_hint(target, logits.shape),
        )
    hot = target != 0
    wrong = target != hot  # also true for NaN
    if wrong.any():
        raise InvalidInput(
            "not one-hot",
            subject="target",
            found=target[wrong][0].item(),
            allowed="0 and 1",
            hint=f"For class indices, with {IGNORE} or ignore_index for ignored pixels, set targets='indices'.",
        )
    if target.shape[1] == 1:
        return hot[:, 0]
    classes = hot.sum(1)
    if (classes > 1).any():
        raise InvalidInput(
            "not one-hot",
            subject="target",
            found=int(classes.max()),
            allowed="at most one 1 per pixel",
            hint="For overlapping regions set multilabel=True.",
        )
    return hot.byte().argmax(1).masked_fill(classes == 0, IGNORE)


def _with_ignored(target: Tensor, ignore_index: int) -> Tensor:
    """Replace another ignore index by 255."""
    target = target.long()  # narrow types would wrap around: -1 equals 255 in int8, and -100 equals 156 in uint8
    if (target == IGNORE).any():
        raise InvalidInput(
            subject="target", found=IGNORE, allowed=f"class indices, or {ignore_index} for ignored pixels"
        )
    return target.masked_fill(target == ignore_index, IGNORE)
