"""Asynchronous copies of tensors to main memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def host_copy(values: Tensor) -> Callable[[], NDArray[Any]]:
    """Start copying a tensor to main memory; on a CPU, the array shares its memory.

    Returns:
        A function that waits for the copy, but not for work queued on the GPU after it, and returns the array.
    """
    if values.device.type != "cuda":
        return lambda: values.cpu().numpy()
    copy = torch.empty_like(values, device="cpu", pin_memory=True)
    copy.copy_(values, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(values.device))

    def array() -> NDArray[Any]:
        copied.synchronize()
        return copy.numpy()

    return array


def class_copy(target: Tensor) -> Callable[[], NDArray[Any]]:
    """Start copying class indices ``(B, H, W)``, see `host_copy`; from a GPU as uint8, an eighth of the bytes."""
    return host_copy(target if target.device.type == "cpu" else target.to(torch.uint8))
