"""Features of a trunk on the grid of class maps, by the positions that the trunk declares."""

from __future__ import annotations

import torch
from torch import Tensor

from wsss.models.attribution.multiscale_cam import resampling
from wsss.models.trunk import Level


def on_grid(features: Tensor, level: Level, pixels: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return features ``(B, C, h, w)`` interpolated at the elements of a grid, ``(B, C, *size)``.

    Args:
        level, pixels, size: see `interpolation`.
    """
    rows, columns = interpolation(level, (features.shape[2], features.shape[3]), pixels, size, device=features.device)
    return rows @ features @ columns.T


def interpolation(
    level: Level, shape: tuple[int, int], pixels: tuple[int, int], size: tuple[int, int], *, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the matrices of `wsss.models.attribution.multiscale_cam.resampling` along both sides.

    Args:
        level: positions of the features.
        shape: height and width of the feature map.
        pixels: height and width of the network's input, before any padding.
        size: height and width of the grid, whose elements divide the image evenly.

    Returns:
        ``(size[0], shape[0])`` and ``(size[1], shape[1])``.
    """
    rows, columns = (
        resampling(count, side, level.stride, target, level.offset, device=device)
        for count, side, target in zip(shape, pixels, size, strict=True)
    )
    return rows, columns
