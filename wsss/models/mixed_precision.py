"""Networks in bfloat16, on devices that support it: half the memory traffic, three significant digits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from wsss.models.config import InferencePrecision

_CPU = Path("/proc/cpuinfo")
_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Instructions that multiply in bfloat16: the first two of x86, the last of ARM."""


def autocast(precision: InferencePrecision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a network computes in a precision; its parameters remain in single precision."""
    return nullcontext() if precision == "32-true" else torch.autocast(device.type, torch.bfloat16)


def has_bfloat16(device: torch.device, cpu: Path = _CPU) -> bool:
    """Return whether a device has instructions for bfloat16; without them it is emulated, and much slower.

    Args:
        cpu: description of the processor; without this file, bfloat16 is assumed to be missing.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        lines = cpu.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    features = (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features")))
    return not _FLAGS.isdisjoint(next(features, ()))


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
