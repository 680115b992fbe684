"""Soft targets: class probabilities instead of masks (self-distillation).

A teacher's probabilities, written by `predict` with ``save_probabilities``, are augmented like the image, with linear
interpolation. Beyond the image border all probabilities are 0, which marks ignored pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.data.classes import Classes
from wsss.data.corrections.corrected_pixels import CorrectedMasks, overridden_probabilities
from wsss.data.image_transforms.resizing import opencv, reduced
from wsss.io.rasters.pixel_values.reading import ImageSource
from wsss.io.rasters.probabilities import read_probabilities
from wsss.io.rasters.rgb_images import read_image
from wsss.train.tasks.segmentation import PairExamples


class SoftPairLoader:
    """Loads an image and its class probabilities as one ``(H, W, 3 + 2C)`` uint8 array: RGB, then float16 bytes.

    If the longer side exceeds ``max_side`` pixels, both are downscaled to it.

    Args:
        pairs, classes, max_side: the images with their probabilities.
        corrected: corrected masks of the images, where they are labelled the probabilities are certain.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[ImageSource, Path]],
        classes: Classes,
        max_side: int | None = None,
        *,
        corrected: CorrectedMasks | None = None,
    ) -> None:
        self.pairs, self.classes, self.max_side, self.corrected = list(pairs), classes, max_side, corrected

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Return one pair.

        Raises:
            InvalidInput: a file is missing or invalid, or the probabilities have a different size or number of classes.
        """
        source, path = self.pairs[index]
        image = read_image(*source)
        probabilities = read_probabilities(path, classes=len(self.classes), size=image.shape[:2])
        if self.corrected is not None:
            probabilities = overridden_probabilities(probabilities, self.corrected(index, image.shape[:2]))
        image = reduced(image, self.max_side)
        probabilities = _reduced(probabilities, image.shape[:2])
        return np.dstack([image, np.ascontiguousarray(np.moveaxis(probabilities, 0, 2)).view(np.uint8)])


def _reduced(probabilities: NDArray[np.float16], size: tuple[int, ...]) -> NDArray[np.float16]:
    """Reduce probabilities ``(C, H, W)`` to a size (height, width) by area interpolation."""
    if probabilities.shape[1:] == size:
        return probabilities
    area, smaller = opencv().INTER_AREA, np.empty((len(probabilities), *size), np.float16)
    for index, values in enumerate(probabilities):
        smaller[index] = opencv().resize(values.astype(np.float32), size[::-1], interpolation=area)
    return smaller


class SoftExamples(PairExamples):
    """Augmented images with their class probabilities: ``(3, S, S)`` uint8 and ``(C, S, S)`` float32."""

    def target(self, stored: NDArray[np.uint8]) -> Any:
        """Return the probabilities ``(H, W, C)`` float32."""
        return np.ascontiguousarray(stored).view(np.float16).astype(np.float32)

    def as_tensor(self, target: Any) -> Tensor:
        """Return ``(C, S, S)`` float32."""
        return torch.from_numpy(target).permute(2, 0, 1).contiguous()
