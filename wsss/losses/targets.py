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

__all__ = ["OnlyBackground", "check_indices", "checked_once", "has_ignored"]

TORCH_IGNORES = -100
"""Ignore index of ``torch.nn.CrossEntropyLoss``."""


class _Call(threading.local):
    """State of the current thread's call of a loss, which passes its target on to a base loss.

    Attributes:
        depth: number of nested calls.
        valid: the last validated target, its version, the number of classes, and whether a pixel is ignored. It is
            dropped after the call, since memory shared with NumPy and ``target.data`` change without a new version.
    """

    depth = 0
    valid: tuple[Tensor, int, int, bool] | None = None


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


def check_indices(target: Tensor, classes: int) -> bool:
    """Require class indices in range; waits for the device, once more if a pixel is ignored.

    Args:
        target: ``(B, H, W)`` of any integer type.
        classes: number of classes C.

    Returns:
        Whether a pixel is ignored.

    Raises:
        InvalidInput: values that are neither 0 … C − 1 nor 255.

    Warns:
        OnlyBackground: all labelled pixels are background, and some pixels are 255.
    """
    if not target.numel():
        return False
    valid = _validated(target)
    if valid is not None and valid[2] == classes:
        return valid[3]
    ignored = _search_ignored(target, classes)
    if _call.depth and not target.is_inference():  # tensors of inference mode have no version
        _call.valid = (target, target._version, classes, ignored)
    return ignored


def has_ignored(target: Tensor) -> bool:
    """Return whether a pixel of valid class indices is ignored; `check_indices` has the answer of this call."""
    valid = _validated(target)
    return valid[3] if valid is not None else bool(target.numel()) and int(target.amax()) == IGNORE


def _validated(target: Tensor) -> tuple[Tensor, int, int, bool] | None:
    valid = _call.valid
    unchanged = valid is not None and valid[0] is target and valid[1] == target._version
    return valid if unchanged else None


def _search_ignored(target: Tensor, classes: int) -> bool:
    smallest, largest = map(int, target.aminmax())
    if smallest < 0 or largest > IGNORE or classes <= largest < IGNORE:
        raise _out_of_range(target, classes)
    if largest < IGNORE:
        return False
    # As bytes plus 1, 255 becomes 0 and every class one more: a cheap pass that fetches the largest class.
    largest_class = int((target.to(torch.uint8) + 1).amax())
    if largest_class > classes:
        raise _out_of_range(target, classes)
    if largest_class == 1:
        warn_only_background("target", "every loss ignores")
    return True


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
