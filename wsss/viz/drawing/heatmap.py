"""Activation maps in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.viz.drawing.palette import magma

if TYPE_CHECKING:
    from numpy.typing import NDArray


def heat(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Colour a map with magma.

    Args:
        values: ``(H, W)`` floats in [0, 1]; other values are clipped.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    return magma()[to_bytes(values)]


def heat_overlay(image: NDArray[np.uint8], values: NDArray[Any], *, opacity: float = 0.7) -> NDArray[np.uint8]:
    """Blend a map over an image.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        values: ``(h, w)`` floats in [0, 1]; resized bilinearly.
        opacity: opacity of the map, in [0, 1].

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    height, width = image.shape[:2]
    colours = heat(resize_map(values, (height, width)))
    return (image * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def resize_map(values: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize an ``(h, w)`` map in [0, 1] to ``size`` = (height, width), bilinearly; averages when shrinking."""
    from PIL import Image

    grey = Image.fromarray(np.clip(np.asarray(values, np.float32), 0, 1), mode="F")
    return np.asarray(grey.resize((size[1], size[0]), Image.Resampling.BILINEAR), dtype=np.float32)


def to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map floats in [0, 1] to 0 … 255; other values are clipped."""
    return (np.clip(np.asarray(values, np.float32), 0, 1) * 255).round().astype(np.uint8)
