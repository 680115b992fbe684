"""Masks of whole images within a bounded memory: large images come in blocks of pixels.

The probabilities of all pixels of a usual image are computed at once, which is fastest. A photograph of 24 megapixels
and 21 classes would take 2 GB for each of several such arrays, and more for the network's features. If ``max_side``
reduces it, it goes through the network as a whole, and its probabilities are enlarged some rows at a time. If not, it
is cut into overlapping tiles, each of which is predicted like an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wsss.io.rasters.working_size import bilinear_rows, reduction
from wsss.models.inference import class_probabilities, views
from wsss.models.segmenters import SegmentationNetwork

LARGEST = 1 << 26
"""Probabilities (classes × pixels) of an image that are computed at once: 256 MiB an array."""

WHOLE = 1 << 22
"""Pixels, at the largest scale, of an image that goes through the network as a whole without being reduced."""

TILE = 768
"""Side of a tile in pixels, at the largest scale."""

MARGIN = 128
"""Pixels around a tile that the network sees, too: a border of the crop is no border of the image."""

STEP = 32
"""Tiles begin at multiples of this: so that features and scaled pixels lie where those of the whole image would lie."""

BAND = 32
"""Rows of a reduced image's probabilities that are enlarged at a time."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of images of one size.

    Args:
        masks: ``(B, H, W)`` uint8 class indices.
        probabilities: ``(B, C, H, W)`` float16, if they were asked for.
    """

    masks: NDArray[np.uint8]
    probabilities: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class Block:
    """Some pixels of one image, or all pixels of several.

    Args:
        rows, columns: which pixels.
        probabilities: ``(B, C, h, w)`` float32.
    """

    rows: slice
    columns: slice
    probabilities: Tensor


def predict(
    segmenter: SegmentationNetwork,
    images: NDArray[np.uint8],
    classes: int,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
    probabilities: bool = False,
    change: Callable[[Tensor, slice], Tensor] = lambda found, which: found,
) -> Prediction:
    """Return the most probable class of every pixel.

    Args:
        segmenter, images, scales, flip, max_side: see `wsss.models.inference.class_probabilities`.
        classes: number C of classes.
        probabilities: return those, too: 2 bytes × classes × pixels.
        change: probabilities ``(b, C, h, w)`` of some pixels, which images of the batch → what to use instead.
    """
    count, height, width = images.shape[:3]
    masks = np.empty((count, height, width), np.uint8)
    kept = np.empty((count, classes, height, width), np.float16) if probabilities else None
    for which, parts in _parts_of_batch(segmenter, images, classes, tuple(scales), flip, max_side):
        for block in parts:
            found = change(block.probabilities, which)
            masks[which, block.rows, block.columns] = found.argmax(1).cpu().numpy()
            if kept is not None:
                kept[which, :, block.rows, block.columns] = found.cpu().numpy()
    return Prediction(masks, kept)


def needs_tiles(size: tuple[int, int], classes: int, scales: Sequence[float], max_side: int | None) -> bool:
    """Tell whether an image of a size (height, width) is too large to be predicted as a whole, and isn't reduced."""
    pixels = _pixels(size, scales, max_side)
    return reduction(size, max_side) == 1 and (pixels > WHOLE or classes * pixels > LARGEST)


def _pixels(size: tuple[int, int], scales: Sequence[float], max_side: int | None) -> float:
    """Return the pixels of an image, at its own size or at the largest scale if that is larger."""
    return size[0] * size[1] * max(1.0, reduction(size, max_side) * max(scales)) ** 2


def _parts_of_batch(
    segmenter: SegmentationNetwork,
    images: NDArray[np.uint8],
    classes: int,
    scales: tuple[float, ...],
    flip: bool,
    max_side: int | None,
) -> Iterator[tuple[slice, Iterator[Block]]]:
    """Yield which images of a batch, and their blocks: all images in one, or one image after the other in several."""
    size = (images.shape[1], images.shape[2])
    tiled = needs_tiles(size, classes, scales, max_side)
    if not tiled and classes * _pixels(size, scales, max_side) <= LARGEST:
        found = class_probabilities(segmenter, images, scales=scales, flip=flip, max_side=max_side)
        yield slice(None), iter([Block(slice(None), slice(None), found)])
        return
    for place, image in enumerate(images):
        blocks = _tiles(segmenter, image, scales, flip) if tiled else _bands(segmenter, image, scales, flip, max_side)
        yield slice(place, place + 1), blocks


@torch.no_grad()
def _bands(
    segmenter: SegmentationNetwork,
    image: NDArray[np.uint8],
    scales: tuple[float, ...],
    flip: bool,
    max_side: int | None,
) -> Iterator[Block]:
    """Yield some rows at a time of an image that goes through the network reduced, as a whole."""
    found = list(views(segmenter, image[None], scales=scales, flip=flip, max_side=max_side))
    size = (image.shape[0], image.shape[1])
    for top in range(0, size[0], BAND):
        rows = slice(top, min(top + BAND, size[0]))
        total = _enlarged(found[0], size, rows)
        for view in found[1:]:
            total += _enlarged(view, size, rows)
        yield Block(rows, slice(None), total / len(found))


def _enlarged(probabilities: Tensor, size: tuple[int, int], rows: slice) -> Tensor:
    """Return some rows of ``(1, C, h, w)``, bilinearly enlarged to ``size`` as ``F.interpolate`` does."""
    above, below, weight = (
        torch.from_numpy(each).to(probabilities.device) for each in bilinear_rows(probabilities.shape[2], size[0], rows)
    )
    weight = weight[:, None]
    mixed = probabilities[:, :, above] * (1 - weight) + probabilities[:, :, below] * weight
    return F.interpolate(mixed, (len(above), size[1]), mode="bilinear", align_corners=False)


def _tiles(
    segmenter: SegmentationNetwork, image: NDArray[np.uint8], scales: tuple[float, ...], flip: bool
) -> Iterator[Block]:
    """Yield the inner parts of overlapping tiles of an image at its own size."""
    side, margin = (max(STEP, int(pixels / max(1.0, *scales)) // STEP * STEP) for pixels in (TILE, MARGIN))
    for rows, seen_rows in _parts(image.shape[0], side, margin):
        for columns, seen_columns in _parts(image.shape[1], side, margin):
            crop = np.ascontiguousarray(image[seen_rows, seen_columns])[None]
            found = class_probabilities(segmenter, crop, scales=scales, flip=flip)
            top, left = rows.start - seen_rows.start, columns.start - seen_columns.start
            inner = found[:, :, top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]
            yield Block(rows, columns, inner)


def _parts(length: int, side: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Yield parts of a length, and what is seen of each: the part, a margin, and more near the ends.

    So windows are equally long, but for those at the far end: on a CPU a network keeps buffers for every size.
    """
    window = side + 2 * margin
    for start in range(0, length, side):
        first = max(0, min(start - margin, (length - window) // STEP * STEP))
        last = length if first + window > length - STEP else first + window
        yield slice(start, min(start + side, length)), slice(first, last)
