"""Pixel-adaptive refinement of maps (Araslanov & Roth, CVPR 2020), in the variant of Ru et al., CVPR 2022 (PAR).

Each iteration replaces a pixel by a weighted mean of its eight neighbours at several distances. The weights depend on
colours and positions and are constant over the iterations::

    κ_rgb = −mean over channels ((|I_i − I_j| / (w · σ_rgb))²),   κ_pos = −(|i − j| / (w · σ_pos))²
    weights = (softmax_j κ_rgb + w_pos · softmax_j κ_pos) / (1 + w_pos)

with σ the standard deviation over the neighbours of a pixel. The division is ours: it keeps the maps in [0, 1].
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, model_validator

from wsss.validation import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

TINY = np.float32(1e-8)


class PixelAdaptiveConfig(Settings):
    """Parameters of PAR; the defaults are those of Ru et al."""

    iterations: int = Field(default=10, ge=1, le=1000, description="number of iterations")
    dilations: tuple[Annotated[int, Field(ge=1, le=256)], ...] = Field(
        default=(1, 2, 4, 8, 12, 24), min_length=1, description="distances to the eight neighbours, in map elements"
    )
    width: float = Field(default=0.3, gt=0, description="w: width of both kernels, in local standard deviations")
    position_weight: float = Field(default=0.01, ge=0, description="w_pos: weight of the position kernel; 0: off")

    @model_validator(mode="after")
    def _distinct(self) -> PixelAdaptiveConfig:
        if len(set(self.dilations)) < len(self.dilations):
            raise ValueError(f"dilations: expected different distances, got {list(self.dilations)}")
        return self


def refine(maps: Floats, image: Floats, config: PixelAdaptiveConfig) -> Floats:
    """Refine maps.

    Args:
        maps: ``(K, h, w)`` in [0, 1].
        image: ``(h, w, 3)``, with any range of values; its border pixels are repeated beyond the border.

    Returns:
        ``(K, h, w)`` in [0, 1].
    """
    weights = pixel_weights(image, config)
    for _ in range(config.iterations):
        maps = np.stack([_weighted(class_map, weights, config) for class_map in maps]) if len(maps) else maps
    return maps


def pixel_weights(image: Floats, config: PixelAdaptiveConfig) -> Floats:
    """Return the weights of the neighbours of every pixel, ``(N, h, w)`` with sum 1; see `refine`."""
    kernel = np.zeros((8 * len(config.dilations), *image.shape[:2]), np.float32)
    for channel in np.moveaxis(np.asarray(image, np.float32), 2, 0):
        values = np.stack(list(_neighbours(channel, config)))
        scale = config.width * (values.std(0, ddof=1) + TINY)
        kernel -= ((values - channel) / scale) ** 2 / np.float32(image.shape[2])
    positions = _position_weights(config)[:, None, None]
    weights = (_softmax(kernel) + config.position_weight * positions) / (1 + config.position_weight)
    return np.asarray(weights, np.float32)


def _position_weights(config: PixelAdaptiveConfig) -> Floats:
    distances = np.array([np.hypot(*offset) for offset in _offsets(config)])
    kernel = -((distances / (config.width * (distances.std(ddof=1) + TINY))) ** 2)
    return _softmax(kernel.astype(np.float32))


def _softmax(kernel: Floats) -> Floats:
    powers = np.exp(kernel - kernel.max(0))
    return np.asarray(powers / powers.sum(0), np.float32)


def _weighted(values: Floats, weights: Floats, config: PixelAdaptiveConfig) -> Floats:
    total = np.zeros(values.shape, np.float32)
    for weight, neighbour in zip(weights, _neighbours(values, config), strict=True):
        total += weight * neighbour
    return total


def _offsets(config: PixelAdaptiveConfig) -> list[tuple[int, int]]:
    around = [offset for offset in product((-1, 0, 1), repeat=2) if offset != (0, 0)]
    return [(reach * down, reach * right) for reach in config.dilations for down, right in around]


def _neighbours(values: Floats, config: PixelAdaptiveConfig) -> Iterator[Floats]:
    """Yield, for every offset, the neighbours of all pixels of ``(h, w)``."""
    pad, (height, width) = max(config.dilations), values.shape
    padded = np.pad(values, pad, mode="edge")
    for down, right in _offsets(config):
        yield padded[pad + down : pad + down + height, pad + right : pad + right + width]
