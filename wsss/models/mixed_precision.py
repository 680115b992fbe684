"""Networks in bfloat16, on devices that support it: half the memory traffic, three significant digits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from wsss.models.config import InferencePrecision


def autocast(precision: InferencePrecision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a network computes in a precision; its parameters remain in single precision."""
    return nullcontext() if precision == "32-true" else torch.autocast(device.type, torch.bfloat16)


class MixedPrecision(nn.Module):
    """A segmentation network that computes in a precision and returns logits in single precision.

    Args:
        network: images → logits.
    """

    def __init__(self, network: nn.Module, precision: InferencePrecision) -> None:
        super().__init__()
        self.network, self.precision = network, precision

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, C, H, W)`` float32 of images ``(B, 3, H, W)``."""
        with autocast(self.precision, images.device):
            logits: Tensor = self.network(images)
        return logits.float()
