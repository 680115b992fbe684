"""Pixel-adaptive refinement against loops over pixels, after the formulas of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wsss.refine.pixel_adaptive import PixelAdaptiveConfig, pixel_weights, refine

AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(values) / np.exp(values).sum())


def by_loops(maps: NDArray[Any], image: NDArray[Any], config: PixelAdaptiveConfig) -> NDArray[Any]:
    _, height, width = maps.shape
    offsets = [(reach * down, reach * right) for reach in config.dilations for down, right in AROUND]
    distances = np.array([np.hypot(*offset) for offset in offsets])
    position = softmax(-((distances / (config.width * distances.std(ddof=1))) ** 2))
    maps = maps.astype(np.float64)
    for _ in range(config.iterations):
        following = np.zeros_like(maps)
        for y, x in np.ndindex(height, width):
            near = [(min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)) for dy, dx in offsets]
            colours = np.array([image[cell] for cell in near], np.float64)
            scale = config.width * (colours.std(0, ddof=1) + 1e-8)
            kernel = -(((colours - image[y, x]) / scale) ** 2).mean(1)
            weights = (softmax(kernel) + config.position_weight * position) / (1 + config.position_weight)
            for weight, cell in zip(weights, near, strict=True):
                following[:, y, x] += weight * maps[:, cell[0], cell[1]]
        maps = following
    return maps


@pytest.mark.parametrize("position_weight", [0.0, 0.2])
def test_it_equals_loops(position_weight: float) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (7, 9, 3)).astype(np.float32)
    maps = generator.random((2, 7, 9)).astype(np.float32)
    config = PixelAdaptiveConfig(iterations=3, dilations=(1, 2, 4), position_weight=position_weight)
    np.testing.assert_allclose(refine(maps, image, config), by_loops(maps, image, config), atol=1e-5)


def test_maps_follow_the_edges_of_the_image() -> None:
    image = np.full((24, 24, 3), 20, np.float32)
    image[:, 12:] = 220
    image += np.random.default_rng(0).normal(0, 3, image.shape).astype(np.float32)
    maps = np.zeros((1, 24, 24), np.float32)
    maps[0, :, :9] = 1  # three columns short of the edge
    refined = refine(maps, image, PixelAdaptiveConfig(dilations=(1, 2, 4)))[0]
    assert refined[:, 10:12].min() > 10 * refined[:, 12:].max()


def test_weights_sum_to_one_on_constant_images_too() -> None:
    config = PixelAdaptiveConfig(dilations=(1, 2))
    np.testing.assert_allclose(pixel_weights(np.zeros((4, 5, 3), np.float32), config).sum(0), 1, rtol=1e-5)
    assert refine(np.zeros((0, 4, 5), np.float32), np.zeros((4, 5, 3), np.float32), config).shape == (0, 4, 5)
