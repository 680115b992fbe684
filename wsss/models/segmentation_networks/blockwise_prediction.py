"""Masks of whole images within bounded memory: large images are predicted in blocks of pixels.

The probabilities of a 24-megapixel photograph with 21 classes take 2 GB, several times over. Images that ``max_side``
reduces pass through the network as a whole, and their probabilities are upsampled a few rows at a time. Others are cut
into overlapping tiles, each predicted like an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wsss.io.rasters.working_size import bilinear_rows, reduction
from wsss.models.segmentation_networks.inference import class_probabilities, view_probabilities

MAX_PROBABILITIES = 1 << 26
"""Maximum number of probabilities (classes × pixels) computed at once: 256 MiB per array."""

MAX_PIXELS = 1 << 22
"""Maximum number of pixels, at the largest scale, of an unreduced image that is predicted as a whole."""

TILE = 768
"""Side of a tile in pixels, at the largest scale."""

MARGIN = 128
"""Additional pixels around a tile, because predictions near the border of a crop lack context."""

STEP = 32
"""Tiles start at multiples of this, so that features and scaled pixels align with those of the whole image."""

BAND = 32
"""Number of rows upsampled at a time."""


@dataclass(frozen=True)
class Prediction:
    """Predictions for images of one size.

    Args:
        masks: ``(B, H, W)`` uint8 class indices.
        probabilities: ``(B, C, H, W)`` float16, if requested.
    """

    masks: NDArray[np.uint8]
    probabilities: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class Block:
    """A block of pixels of one image, or all pixels of several images.

    Args:
        rows, columns: the pixels.
        probabilities: ``(B, C, h, w)`` float32.
    """

    rows: slice
    columns: slice
    probabilities: Tensor


def predict(
    segmenter: nn.Module,
    images: NDArray[np.uint8],
    classes: int,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
    probabilities: bool = False,
    change: Callable[[Tensor, slice], Tensor] = lambda values, which: values,
) -> Prediction:
    """Return the most probable class of every pixel.

    Args:
        segmenter, images, scales, flip, max_side: see `inference.class_probabilities`.
        classes: number C of classes.
        probabilities: also return probabilities: 2 bytes × classes × pixels.
        change: probabilities ``(b, C, h, w)`` of a block, slice of the batch → probabilities to use instead.
    """
    count, height, width = images.shape[:3]
    masks = np.empty((count, height, width), np.uint8)
    kept = np.empty((count, classes, height, width), np.float16) if probabilities else None
    for which, blocks in _blocks_of_batch(segmenter, images, classes, tuple(scales), flip, max_side):
        for block in blocks:
            changed = change(block.probabilities, which)
            masks[which, block.rows, block.columns] = changed.argmax(1).to(torch.uint8).cpu().numpy()
            if kept is not None:
                kept[which, :, block.rows, block.columns] = changed.half().cpu().numpy()
    return Prediction(masks, kept)


def needs_tiles(size: tuple[int, int], classes: int, scales: Sequence[float], max_side: int | None) -> bool:
    """Return whether an image of a size (height, width) is too large to be predicted as a whole, and not reduced."""
    pixels = _pixels(size, scales, max_side)
    return reduction(size, max_side) == 1 and (pixels > MAX_PIXELS or classes * pixels > MAX_PROBABILITIES)


def _pixels(size: tuple[int, int], scales: Sequence[float], max_side: int | None) -> float:
    """Return the number of pixels at full size or at the largest scale, whichever is larger."""
    return size[0] * size[1] * max(1.0, reduction(size, max_side) * max(scales)) ** 2


def _blocks_of_batch(
    segmenter: nn.Module,
    images: NDArray[np.uint8],
    classes: int,
    scales: tuple[float, ...],
    flip: bool,
    max_side: int | None,
) -> Iterator[tuple[slice, Iterator[Block]]]:
    """Yield slices of a batch with their blocks: all images in one block, or one image after the other in several."""
    size = (images.shape[1], images.shape[2])
    tiled = needs_tiles(size, classes, scales, max_side)
    if not tiled and classes * _pixels(size, scales, max_side) <= MAX_PROBABILITIES:
        probabilities = class_probabilities(segmenter, images, scales=scales, flip=flip, max_side=max_side)
        yield slice(None), iter([Block(slice(None), slice(None), probabilities)])
        return
    for index, image in enumerate(images):
        blocks = _tiles(segmenter, image, scales, flip) if tiled else _bands(segmenter, image, scales, flip, max_side)
        yield slice(index, index + 1), blocks


@torch.no_grad()
def _bands(
    segmenter: nn.Module,
    image: NDArray[np.uint8],
    scales: tuple[float, ...],
    flip: bool,
    max_side: int | None,
) -> Iterator[Block]:
    """Yield bands of rows of a reduced image, which passes through the network as a whole."""
    views = list(view_probabilities(segmenter, image[None], scales=scales, flip=flip, max_side=max_side))
    size = (image.shape[0], image.shape[1])
    for top in range(0, size[0], BAND):
        rows = slice(top, min(top + BAND, size[0]))
        total = _upsampled(views[0], size, rows)
        for view in views[1:]:
            total += _upsampled(view, size, rows)
        yield Block(rows, slice(None), total / len(views))


def _upsampled(probabilities: Tensor, size: tuple[int, int], rows: slice) -> Tensor:
    """Return some rows of ``(1, C, h, w)``, bilinearly upsampled to ``size`` like `F.interpolate`."""
    above, below, weight = (
        torch.from_numpy(each).to(probabilities.device) for each in bilinear_rows(probabilities.shape[2], size[0], rows)
    )
    weight = weight[:, None]
    mixed = probabilities[:, :, above] * (1 - weight) + probabilities[:, :, below] * weight
    return F.interpolate(mixed, (len(above), size[1]), mode="bilinear", align_corners=False)


def _tiles(segmenter: nn.Module, image: NDArray[np.uint8], scales: tuple[float, ...], flip: bool) -> Iterator[Block]:
    """Yield the inner parts of overlapping tiles of an image at its own size."""
    side, margin = (max(STEP, int(pixels / max(1.0, *scales)) // STEP * STEP) for pixels in (TILE, MARGIN))
    for rows, window_rows in _windows(image.shape[0], side, margin):
        for columns, window_columns in _windows(image.shape[1], side, margin):
            crop = np.ascontiguousarray(image[window_rows, window_columns])[None]
            probabilities = class_probabilities(segmenter, crop, scales=scales, flip=flip)
            top, left = rows.start - window_rows.start, columns.start - window_columns.start
            bottom, right = rows.stop - window_rows.start, columns.stop - window_columns.start
            yield Block(rows, columns, probabilities[:, :, top:bottom, left:right])


def _windows(length: int, side: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Yield the parts of a length, each with its window: the part, a margin, and more near the ends.

    All windows but the last ones have the same length: on a CPU, a network allocates buffers for every size.
    """
    window = side + 2 * margin
    for start in range(0, length, side):
        first = max(0, min(start - margin, (length - window) // STEP * STEP))
        last = length if first + window > length - STEP else first + window
        yield slice(start, min(start + side, length)), slice(first, last)
