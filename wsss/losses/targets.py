"""Validation of class indices, once per call of a loss."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.only_background import OnlyBackground, warn_only_background

__all__ = ["OnlyBackground", "check_indices", "checked_once", "has_ignored"]

TORCH_IGNORES = -100
"""Ignore index of ``torch.nn.CrossEntropyLoss``."""


class Contents(NamedTuple):
    """Properties of class indices (0 … 254, and 255 for ignored pixels) that losses depend on.

    Attributes:
        largest: the largest class, −1 if all pixels are ignored.
        ignored: whether a pixel is ignored.
    """

    largest: int
    ignored: bool


class _Call(threading.local):
    """State of the current thread's call of a loss, which passes its target on to a base loss.

    Attributes:
        depth: number of nested calls.
        valid: the last validated target, its version, and its contents. It is dropped after the call, since memory
            shared with NumPy and ``target.data`` change without a new version.
    """

    depth = 0
    valid: tuple[Tensor, int, Contents] | None = None


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


@contextmanager
def known_contents(target: Tensor, contents: Contents) -> Iterator[None]:
    """Inside the block, losses take the contents of a target from the caller instead of waiting for the device.

    Args:
        target: ``(B, H, W)`` int64, the tensor that is passed to the loss.
        contents: of these indices, see `contents_of`.
    """
    with checked_once():
        _keep(target, contents)
        yield


def contents_of(masks: Tensor) -> Contents:
    """Return the contents of class indices ``(B, H, W)`` uint8; call it before they are moved to a device."""
    if not masks.numel():
        return Contents(-1, False)
    largest = int((masks + 1).amax()) - 1  # uint8: adding 1 turns 255 into 0
    return Contents(largest, int(masks.amax()) == IGNORE)


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
    contents = _known(target)
    if contents is not None and contents.largest < classes:
        return contents.ignored
    contents = _search(target, classes)
    _keep(target, contents)
    return contents.ignored


def has_ignored(target: Tensor) -> bool:
    """Return whether a pixel of valid class indices is ignored; `check_indices` has the answer of this call."""
    contents = _known(target)
    return contents.ignored if contents is not None else bool(target.numel()) and int(target.amax()) == IGNORE


def has_labelled(target: Tensor) -> bool:
    """Return whether a pixel of valid class indices is not ignored; `check_indices` has the answer of this call."""
    contents = _known(target)
    return contents.largest >= 0 if contents is not None else bool((target != IGNORE).any())


def _keep(target: Tensor, contents: Contents) -> None:
    """Keep the contents of a target until the end of the call."""
    if _call.depth and not target.is_inference():  # tensors of inference mode have no version
        _call.valid = (target, target._version, contents)


def _known(target: Tensor) -> Contents | None:
    valid = _call.valid
    unchanged = valid is not None and valid[0] is target and valid[1] == target._version
    return valid[2] if valid is not None and unchanged else None


def _search(target: Tensor, classes: int) -> Contents:
    smallest, largest = torch.stack(target.aminmax()).tolist()  # in one transfer
    if smallest < 0 or largest > IGNORE or classes <= largest < IGNORE:
        raise _out_of_range(target, classes)
    if largest < IGNORE:
        return Contents(largest, False)
    found = Contents(int((target.to(torch.uint8) + 1).amax()) - 1, True)  # see `contents_of`
    if found.largest >= classes:
        raise _out_of_range(target, classes)
    if found.largest == 0:
        warn_only_background("target", "every loss ignores")
    return found


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
