"""The one check of class indices that all losses make before they compute."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from wsss.errors import InvalidInput, listing
from wsss.io.rasters.label_masks import IGNORE

TORCH_IGNORES = -100
"""The ignore index of ``torch.nn.CrossEntropyLoss``."""


class OnlyBackground(UserWarning):
    """A target's labelled pixels are all background, and others are 255: perhaps 255 was meant to be a class."""


class _Call(threading.local):
    """The call of a loss that this thread is in: a loss and its base loss get the same target.

    Attributes:
        depth: number of losses that are being computed inside of each other.
        passed: the last target that passed, its version and the number of classes. It isn't kept from call to call:
            memory shared with NumPy, and ``target.data``, change without a new version.
    """

    depth = 0
    passed: tuple[Tensor, int, int] | None = None


_call = _Call()


@contextmanager
def checked_once() -> Iterator[None]:
    """Check a target once inside the block, however many losses it is given to."""
    _call.depth += 1
    try:
        yield
    finally:
        _call.depth -= 1
        if not _call.depth:
            _call.passed = None


def check_indices(target: Tensor, classes: int) -> None:
    """Refuse class indices out of range; the values are read once, in one transfer from the device.

    Args:
        target: ``(B, H, W)`` of any integer type.
        classes: number of classes C.

    Raises:
        InvalidInput: values that are neither 0 … C − 1 nor 255; names them.

    Warns:
        OnlyBackground: no labelled pixel has a class other than the background, and some pixels are 255.
    """
    if not target.numel() or _has_passed(target, classes):
        return
    low, high = target.aminmax()
    # 255 becomes 0 and every class one more. Passes over bytes cost little, and one transfer fetches all three numbers.
    above = (target.to(torch.uint8) + 1).amax()
    smallest, largest, known = torch.stack([low.long(), high.long(), above.long()]).tolist()
    if smallest < 0 or largest > IGNORE or known > classes:
        raise _out_of_range(target, classes)
    if largest == IGNORE and known == 1:
        warnings.warn(
            "target: all labelled pixels are background (0), and others are 255, which every loss ignores. If 255 "
            "means a class in these masks, give it the index of the class.",
            OnlyBackground,
            stacklevel=2,
        )
    if _call.depth and not target.is_inference():  # such tensors have no version that would tell of a change
        _call.passed = (target, target._version, classes)


def _has_passed(target: Tensor, classes: int) -> bool:
    passed = _call.passed
    return passed is not None and passed[0] is target and passed[1:] == (target._version, classes)


def _out_of_range(target: Tensor, classes: int) -> InvalidInput:
    found = [value for value in torch.unique(target).tolist() if value != IGNORE and not 0 <= value < classes]
    hint = f"Give pixels without a class {IGNORE}, and the logits a channel per class."
    if TORCH_IGNORES in found:
        hint = f"{TORCH_IGNORES} is torch's ignore index: target.masked_fill(target == {TORCH_IGNORES}, {IGNORE})."
    return InvalidInput(
        f"target: found {'value' if len(found) == 1 else 'values'} {listing(found, limit=10)}, with {classes} classes; "
        f"expected 0 to {classes - 1}, or {IGNORE} for pixels to ignore.",
        hint=hint,
    )
