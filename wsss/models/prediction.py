"""Masks of whole images within a bounded memory: large images in tiles, or class by class.

The probabilities of all classes of a usual image are computed at once, which is fastest. A photograph of 24 megapixels
and 21 classes would take 2 GB for each of several such arrays, and more for the network's features. If ``max_side``
reduces it, it goes through the network as a whole, and its probabilities are enlarged class by class. If not, it is cut
into overlapping tiles, each of which is predicted like an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from wsss.models.inference import class_probabilities, reduction, views
from wsss.models.segmenters import SegmentationNetwork

LARGEST = 1 << 26
"""Probabilities (classes × pixels) of an image that are computed at once: 256 MiB an array."""

WHOLE = 1 << 22
"""Pixels, at the largest scale, of an image that goes through the network as a whole without being reduced."""

TILE = 768
"""Side of a tile in pixels, at the largest scale."""

MARGIN = 128
"""Pixels around a tile that the network sees, too: a border of the crop is no border of the image."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of images of one size.

    Args:
        masks: ``(B, H, W)`` uint8 class indices.
        probabilities: ``(B, C, H, W)`` float16, if they were asked for.
    """

    masks: NDArray[np.uint8]
    probabilities: NDArray[np.float16] | None = None


def predict(
    segmenter: SegmentationNetwork,
    images: NDArray[np.uint8],
    classes: int,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
    probabilities: bool = False,
) -> Prediction:
    """Return the most probable class of every pixel.

    Args:
        segmenter, images, scales, flip, max_side: see `wsss.models.inference.class_probabilities`.
        classes: number C of classes.
        probabilities: return those, too: 2 bytes × classes × pixels.
    """
    size = (images.shape[1], images.shape[2])
    tiled = needs_tiles(size, classes, scales, max_side)
    if not tiled and classes * _pixels(size, scales, max_side) <= LARGEST:
        found = class_probabilities(segmenter, images, scales=scales, flip=flip, max_side=max_side)
        masks = found.argmax(1).cpu().numpy().astype(np.uint8)
        return Prediction(masks, found.cpu().numpy().astype(np.float16) if probabilities else None)
    work = _in_tiles if tiled else _class_by_class
    each = [work(segmenter, image, classes, tuple(scales), flip, max_side, probabilities) for image in images]
    kept = [one.probabilities for one in each if one.probabilities is not None]
    return Prediction(np.concatenate([one.masks for one in each]), np.concatenate(kept) if kept else None)


def needs_tiles(size: tuple[int, int], classes: int, scales: Sequence[float], max_side: int | None) -> bool:
    """Tell whether an image of a size (height, width) is too large to be predicted as a whole, and isn't reduced."""
    pixels = _pixels(size, scales, max_side)
    return reduction(size, max_side) == 1 and (pixels > WHOLE or classes * pixels > LARGEST)


def _pixels(size: tuple[int, int], scales: Sequence[float], max_side: int | None) -> float:
    """Return the pixels of an image, at its own size or at the largest scale if that is larger."""
    return size[0] * size[1] * max(1.0, reduction(size, max_side) * max(scales)) ** 2


@torch.no_grad()
def _class_by_class(
    segmenter: SegmentationNetwork,
    image: NDArray[np.uint8],
    classes: int,
    scales: tuple[float, ...],
    flip: bool,
    max_side: int | None,
    probabilities: bool,
) -> Prediction:
    """Predict one reduced image: its probabilities are enlarged and compared class by class."""
    size = (image.shape[0], image.shape[1])
    found = [view.cpu() for view in views(segmenter, image[None], scales=scales, flip=flip, max_side=max_side)]
    kept = np.empty((1, classes, *size), np.float16) if probabilities else None
    highest = torch.full(size, -1.0)
    mask = torch.zeros(size, dtype=torch.uint8)
    for index in range(classes):
        total = torch.zeros(size)
        for view in found:
            one = view[:, index : index + 1].contiguous()
            total += F.interpolate(one, size, mode="bilinear", align_corners=False)[0, 0]
        if kept is not None:
            kept[0, index] = (total / len(found)).numpy()
        mask.masked_fill_(total > highest, index)
        torch.maximum(highest, total, out=highest)
    return Prediction(mask.numpy()[None], kept)


def _in_tiles(
    segmenter: SegmentationNetwork,
    image: NDArray[np.uint8],
    classes: int,
    scales: tuple[float, ...],
    flip: bool,
    max_side: int | None,
    probabilities: bool,
) -> Prediction:
    """Predict one image in overlapping tiles, of which the inner parts count."""
    height, width = image.shape[:2]
    mask = np.empty((1, height, width), np.uint8)
    kept = np.empty((1, classes, height, width), np.float16) if probabilities else None
    side, margin = (max(32, int(pixels / max(1.0, *scales))) for pixels in (TILE, MARGIN))
    for rows, seen_rows in _parts(height, side, margin):
        for columns, seen_columns in _parts(width, side, margin):
            crop = np.ascontiguousarray(image[seen_rows, seen_columns])[None]
            inner = (
                ...,
                slice(rows.start - seen_rows.start, rows.stop - seen_rows.start),
                slice(columns.start - seen_columns.start, columns.stop - seen_columns.start),
            )
            found = class_probabilities(segmenter, crop, scales=scales, flip=flip)[inner].cpu()
            mask[:, rows, columns] = found.argmax(1).numpy().astype(np.uint8)
            if kept is not None:
                kept[:, :, rows, columns] = found.numpy()
    return Prediction(mask, kept)


def _parts(length: int, side: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Yield equal parts of a length, at most ``side`` each, and what is seen of it: the part and a margin."""
    count = -(-length // side)
    edges = [round(length * part / count) for part in range(count + 1)]
    for start, stop in pairwise(edges):
        yield slice(start, stop), slice(max(0, start - margin), min(length, stop + margin))
