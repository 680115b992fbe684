"""Cache of the values that losses compute from labels, per sample."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class LabelCache:
    """Apply a function to the label of each sample, with a cache keyed by the label's content.

    Labels recur without augmentation, with gradient accumulation over the same crop, and in validation.

    Args:
        compute: bool ``(C, H, W)`` → tensor on the same device, whose shape depends only on that of the label.
        megabytes: size of the cache in MiB; the least recently used results are dropped first. 0: no cache.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], megabytes: int) -> None:
        self.compute, self.capacity = compute, megabytes << 20
        self.results: OrderedDict[bytes, Tensor] = OrderedDict()
        self.size = 0

    def __call__(self, labels: Tensor) -> Tensor:
        """Return the stacked results for labels ``(B, C, H, W)`` bool, on their device."""
        return torch.stack([self._result(label) for label in labels.cpu()]).to(labels.device)

    def _result(self, label: Tensor) -> Tensor:
        if not self.capacity:
            return self.compute(label)
        key = _digest(label)
        result = self.results.pop(key, None)
        if result is None:
            result = self.compute(label)
            self.size += result.nbytes
        self.results[key] = result  # most recently used: last
        while self.size > self.capacity:
            self.size -= self.results.popitem(last=False)[1].nbytes
        return result


def _digest(label: Tensor) -> bytes:
    bits = np.packbits(label.numpy())
    return hashlib.blake2b(repr(tuple(label.shape)).encode() + bits.tobytes(), digest_size=16).digest()
