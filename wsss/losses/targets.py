"""Validation of class indices, once per call of a loss."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.only_background import OnlyBackground, warn_only_background

__all__ = ["OnlyBackground", "check_indices", "checked_once"]

TORCH_IGNORES = -100
"""Ignore index of ``torch.nn.CrossEntropyLoss``."""


class _Call(threading.local):
    """State of the current thread's call of a loss, which passes its target on to a base loss.

    Attributes:
        depth: number of nested calls.
        valid: the last validated target, its version and the number of classes. It is dropped after the call, since
            memory shared with NumPy and ``target.data`` change without a new version.
    """

    depth = 0
    valid: tuple[Tensor, int, int] | None = None


_call = _Call()


@contextmanager
def checked_once() -> Iterator[None]:
    """Validate each target only once inside the block."""
    _call.depth += 1
    try:
        yield
    finally:
        _call.depth -= 1
        if not _call.depth:
            _call.valid = None


def check_indices(target: Tensor, classes: int) -> None:
    """Require class indices in range, with one transfer from the device.

    Args:
        target: ``(B, H, W)`` of any integer type.
        classes: number of classes C.

    Raises:
        InvalidInput: values that are neither 0 … C − 1 nor 255.

    Warns:
        OnlyBackground: all labelled pixels are background, and some pixels are 255.
    """
    if not target.numel() or _is_valid(target, classes):
        return
    low, high = target.aminmax()
    # As bytes plus 1, 255 becomes 0 and every class one more: a cheap pass that fetches the largest class.
    above = (target.to(torch.uint8) + 1).amax()
    smallest, largest, largest_class = torch.stack([low.long(), high.long(), above.long()]).tolist()
    if smallest < 0 or largest > IGNORE or largest_class > classes:
        raise _out_of_range(target, classes)
    if largest == IGNORE and largest_class == 1:
        warn_only_background("target", "every loss ignores")
    if _call.depth and not target.is_inference():  # tensors of inference mode have no version
        _call.valid = (target, target._version, classes)


def _is_valid(target: Tensor, classes: int) -> bool:
    valid = _call.valid
    return valid is not None and valid[0] is target and valid[1:] == (target._version, classes)


def _out_of_range(target: Tensor, classes: int) -> InvalidInput:
    wrong = [value for value in torch.unique(target).tolist() if value != IGNORE and not 0 <= value < classes]
    hint = f"Set pixels without a class to {IGNORE}, or ignore_index to their value; logits need a channel per class."
    if TORCH_IGNORES in wrong:
        hint = f"{TORCH_IGNORES} is torch's ignore index: set ignore_index={TORCH_IGNORES}."
    return InvalidInput(
        subject="target",
        found=wrong,
        allowed=f"class indices 0 to {classes - 1} ({classes} classes), or {IGNORE} for ignored pixels",
        hint=hint,
    )
