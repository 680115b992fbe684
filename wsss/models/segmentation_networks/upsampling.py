"""Upsampling of maps to pixels by the positions of their elements."""

from __future__ import annotations

import torch
from torch import Tensor

from wsss.models.attribution.multiscale_cam import resampling


def to_pixels(maps: Tensor, size: tuple[int, int], *, stride: int, offset: float) -> Tensor:
    """Interpolate maps bilinearly, at every pixel.

    Args:
        maps: ``(B, C, h, w)``; element i is centred on pixel ``offset + stride·i``.
        size: height H and width W of the image.
        stride, offset: see `wsss.models.trunk.Level`.

    Returns:
        ``(B, C, H, W)``; pixels beyond the outermost elements get their values.
    """
    rows, columns = (
        _weights(count, pixels, stride, offset, maps.device) for count, pixels in zip(maps.shape[2:], size, strict=True)
    )
    with torch.autocast(maps.device.type, enabled=False):
        return rows @ maps.float() @ columns.T


def _weights(count: int, pixels: int, stride: int, offset: float, device: torch.device) -> Tensor:
    """Return the matrix ``(pixels, count)`` of linear interpolation along one side.

    Sizes are symbols while the network is exported for images of any size. The matrix is then computed by operations
    on tensors, as the distances between pixels and elements.
    """
    if not isinstance(pixels, torch.SymInt):
        return resampling(count, pixels, stride, pixels, offset, device=device)
    elements = torch.arange(count, dtype=torch.float32)
    positions = ((torch.arange(pixels, dtype=torch.float32) - offset) / stride).clamp(min=0).minimum(elements[-1])
    return (1 - (positions[:, None] - elements).abs()).clamp(min=0).to(device)
