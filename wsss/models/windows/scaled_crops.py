"""Windows of a scaled image, without the memory of the whole enlarged image."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wsss.data.image_transforms.resizing import resize
from wsss.io.rasters.working_size import bilinear_rows

BAND = 256
"""Rows whose values are counted at a time."""


class ScaledImage:
    """A resized image that is read in windows.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        size: height and width of the scaled image.
    """

    def __init__(self, image: NDArray[np.uint8], size: tuple[int, int]) -> None:
        self.image, self.size = image, size

    @cached_property
    def _reduced(self) -> NDArray[np.uint8]:
        return self.image if self.size == self.image.shape[:2] else resize(self.image, self.size)

    @property
    def _enlarged(self) -> bool:
        return self.size[0] * self.size[1] > self.image.shape[0] * self.image.shape[1]

    def crop(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Return a window ``(h, w, 3)`` of `wsss.data.image_transforms.resizing.resize`.

        Windows of enlarged images are interpolated from the pixels around them. OpenCV rounds the weights, so that
        values differ by at most 1.

        Args:
            rows, columns: pixels of the scaled image.
        """
        if not self._enlarged:
            return np.ascontiguousarray(self._reduced[rows, columns])
        above, below, down = bilinear_rows(self.image.shape[0], self.size[0], rows)
        left, right, across = bilinear_rows(self.image.shape[1], self.size[1], columns)
        top, start = above[0], left[0]
        pixels = self.image[top : below[-1] + 1, start : right[-1] + 1].astype(np.float32)
        mixed = pixels[above - top] * (1 - down)[:, None, None] + pixels[below - top] * down[:, None, None]
        mixed = mixed[:, left - start] * (1 - across)[:, None] + mixed[:, right - start] * across[:, None]
        return np.ascontiguousarray((mixed + 0.5).astype(np.uint8))

    @cached_property
    def statistics(self) -> NDArray[np.float32]:
        """Mean and standard deviation of every channel, ``(2, 3)`` in [0, 1]."""
        counts = np.zeros((3, 256), np.int64)
        for top in range(0, self.size[0], BAND):
            band = self.crop(slice(top, min(top + BAND, self.size[0])), slice(0, self.size[1]))
            counts += np.stack([np.bincount(band[..., channel].ravel(), minlength=256) for channel in range(3)])
        values, total = np.arange(256) / 255, counts.sum(1)
        mean = counts @ values / total
        variance = (counts * (values - mean[:, None]) ** 2).sum(1) / total
        return np.stack([mean, np.sqrt(variance)]).astype(np.float32)
