"""Remember what was computed from a label, sample by sample, for as long as memory allows."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class LabelCache:
    """Apply a function to each sample's label; a label seen before costs a look-up.

    Labels recur where they aren't augmented, with gradient accumulation over the same crop, and in validation. They
    are told apart by their content, so that a random crop of a known image is a new label.

    Args:
        compute: bool ``(C, H, W)`` → tensor on the same device, of any kind, its shape depending on the label's only.
        megabytes: room for results; those not used for longest are dropped first. 0 keeps none.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], megabytes: int) -> None:
        self.compute, self.room = compute, megabytes << 20
        self.kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self.size = 0

    def __call__(self, labels: Tensor) -> Tensor:
        """Return the results for labels ``(B, C, H, W)`` bool, stacked, on their device."""
        return torch.stack([self._one(label) for label in labels.cpu()]).to(labels.device)

    def _one(self, label: Tensor) -> Tensor:
        if not self.room:
            return self.compute(label)
        key = _digest(label)
        result = self.kept.pop(key, None)
        if result is None:
            result = self.compute(label)
            self.size += result.nbytes
        self.kept[key] = result  # at the end: used last
        while self.size > self.room:
            self.size -= self.kept.popitem(last=False)[1].nbytes
        return result


def _digest(label: Tensor) -> bytes:
    bits = np.packbits(label.numpy())
    return hashlib.blake2b(repr(tuple(label.shape)).encode() + bits.tobytes(), digest_size=16).digest()
