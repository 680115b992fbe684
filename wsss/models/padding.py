"""Padding of images to sizes that a network can halve without a remainder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def padded(images: Tensor, stride: int, *, least: int = 1) -> Tensor:
    """Replicate the lower and right border up to the next multiples of a stride.

    Sizes are symbols while the network is exported for images of any size: it then always pads, perhaps by 0 pixels.

    Args:
        images: ``(B, 3, H, W)`` floats.
        stride: pixels per element of the coarsest features.
        least: minimum number of these elements along each side.
    """
    # ONNX rounds the quotient of a negative number up, so this is not -(-side // stride).
    below, right = (stride * torch.sym_max(least, (side + stride - 1) // stride) - side for side in images.shape[2:])
    if isinstance(below, int) and isinstance(right, int) and not (below or right):
        return images
    return F.pad(images, (0, right, 0, below), mode="replicate")  # type: ignore[arg-type]
