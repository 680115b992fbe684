"""Resizing of images and masks with OpenCV."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.io.rasters.working_size import reduction, scaled_size, working_size

if TYPE_CHECKING:
    from numpy.typing import NDArray


@cache
def opencv() -> Any:
    """Return OpenCV, limited to one thread."""
    import cv2

    cv2.setNumThreads(0)  # images are processed in parallel already, and OpenCV's threads do not survive a fork
    return cv2


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize ``(H, W, 3)`` uint8 to ``size`` = (height, width): area interpolation to shrink, bilinear to enlarge."""
    cv2 = opencv()
    height, width = size
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def scaled(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Resize ``(H, W, 3)`` uint8 by ``factor`` for multi-scale inference; sides are rounded, at least 1 pixel."""
    size = scaled_size(image.shape[:2], factor)
    return image if size == image.shape[:2] else resize(image, size)


def reduced(image: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """Downscale an image ``(H, W, 3)`` uint8 to a longer side of at most ``max_side`` pixels; ``None``: no limit."""
    return scaled(image, reduction(image.shape[:2], max_side))


def reduced_mask(mask: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """Downscale a mask ``(H, W)`` uint8 to the size of its `reduced` image, by nearest-neighbour interpolation."""
    height, width = working_size(mask.shape, max_side)
    if (height, width) == mask.shape:
        return mask
    return np.asarray(opencv().resize(mask, (width, height), interpolation=opencv().INTER_NEAREST_EXACT), np.uint8)
