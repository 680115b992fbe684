"""Comparison of an ONNX file, in ONNX Runtime, with the network that it was made from, in torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.classes import Classes
from wsss.errors import RunFailed
from wsss.export.network.deployed import INPUT, OUTPUTS
from wsss.io.process.exhausted import raise_if_exhausted
from wsss.models.segmentation_networks.blockwise_prediction import predict
from wsss.models.segmentation_networks.inference import class_probabilities
from wsss.models.segmentation_networks.segmenters import SegmentationNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = ((64, 96), (33, 40), (150, 101), (256, 320))
"""Sizes (height, width) of the generated images: multiples of strides and others, some larger than the traced image."""

REQUIRED = 0.999
"""Minimum fraction of pixels on which both have to agree."""

TOLERANCE = 0.01
"""Maximum difference of probabilities. Without it, a network that predicts one class everywhere would always pass."""

SUBJECT = "--format onnx"
REPORT = "Nothing was written. Please report it, with the versions of torch, onnx, onnxscript and onnxruntime."


@dataclass(frozen=True)
class Agreement:
    """Agreement of two implementations of a network on several pictures.

    Args:
        pictures, pixels: number of pictures and of their pixels.
        equal: fraction of pixels with the same mask value.
        agreeing: fraction of pixels that also have probabilities within `TOLERANCE`.
        largest_difference: of a probability.
    """

    pictures: int
    pixels: int
    equal: float
    agreeing: float
    largest_difference: float


def compare(
    content: bytes, network: SegmentationNetwork, classes: Classes, sizes: Sequence[tuple[int, int]] = SIZES
) -> Agreement:
    """Return the agreement of an ONNX file with a network on generated images.

    Args:
        content: of the file.
        network: in evaluation mode.
        classes: mask values of its classes.
        sizes: sizes (height, width) of the generated images.

    Raises:
        RunFailed: they differ on more than 0.1 % of the pixels, or ONNX Runtime cannot run the file.
    """
    pixels, equal, agreeing, largest = 0, 0, 0, 0.0
    outputs = _Session(content)
    for number, size in enumerate(sizes):
        image = picture(size, number)
        mask, probabilities = outputs(image)
        expected = classes.decode(predict(network, image[None], len(classes)).masks[0])
        if mask.shape != expected.shape or probabilities.shape != (len(classes), *size):
            raise RunFailed(
                f"the ONNX file returns a mask of shape {mask.shape} for an image of {size[0]}×{size[1]} pixels",
                subject=SUBJECT,
                hint=REPORT,
            )
        difference = np.abs(probabilities - class_probabilities(network, image[None])[0].cpu().numpy()).max(0)
        same = mask == expected
        pixels += mask.size
        equal += int(same.sum())
        agreeing += int((same & (difference <= TOLERANCE)).sum())
        largest = max(largest, float(difference.max()))
    found = Agreement(len(sizes), pixels, equal / pixels, agreeing / pixels, largest)
    if not found.agreeing >= REQUIRED:
        raise RunFailed(
            f"the results of the ONNX file differ from torch's on {1 - found.agreeing:.2%} of the pixels of "
            f"{found.pictures} generated images (different mask values on {1 - found.equal:.2%}, probabilities differ "
            f"by up to {found.largest_difference:.2g})",
            subject=SUBJECT,
            hint=REPORT,
        )
    return found


def picture(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Return a picture ``(H, W, 3)`` uint8 with gradients, areas of one colour, and noise."""
    generator = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 1, size[0])[:, None, None], np.linspace(0, 1, size[1])[None, :, None]
    corners = generator.uniform(0, 255, (3, 3))
    values = corners[0] + rows * (corners[1] - corners[0]) + columns * (corners[2] - corners[0])
    for _ in range(8):
        top, left = (int(generator.integers(0, side * 3 // 4 + 1)) for side in size)
        height, width = (int(generator.integers(side // 8 + 1, side // 2 + 2)) for side in size)
        values[top : top + height, left : left + width] = generator.uniform(0, 255, 3)
    noise = generator.normal(0, 1, (*size, 3)) * columns * 60  # none on the left, strong on the right
    return (values + noise).clip(0, 255).astype(np.uint8)


class _Session:
    """A file in ONNX Runtime: image → mask, probabilities.

    Raises:
        RunFailed: ONNX Runtime refuses the file, or fails on an image.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes of errors have no common base but Exception
            raise_if_exhausted(error)
            raise RunFailed(f"ONNX Runtime cannot load the file ({error})", subject=SUBJECT, hint=REPORT) from error

    def __call__(self, image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        try:
            mask, probabilities = self._session.run(list(OUTPUTS), {INPUT: image})
        except Exception as error:
            raise_if_exhausted(error)
            size = f"{image.shape[0]}×{image.shape[1]}"
            problem = f"ONNX Runtime cannot run the file on an image of {size} pixels ({error})"
            raise RunFailed(problem, subject=SUBJECT, hint=REPORT) from error
        return mask, probabilities
