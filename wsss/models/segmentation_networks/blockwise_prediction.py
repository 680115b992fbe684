"""Masks of whole images within bounded memory: large images are predicted in blocks of pixels.

The probabilities of a 24-megapixel photograph with 21 classes take 2 GB, several times over. Images that ``max_side``
downscales, and those within `MAX_PIXELS` and `MAX_WHOLE`, pass through the network as a whole, and probabilities are
upsampled a few rows at a time if there are more than `MAX_PROBABILITIES`. Others are predicted in overlapping tiles
(`wsss.models.segmentation_networks.tiled_prediction`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wsss.errors import InvalidInput, Verbatim
from wsss.io.rasters.working_size import bilinear_rows, reduction
from wsss.models.segmentation_networks.inference import class_probabilities, view_probabilities
from wsss.models.segmentation_networks.seams import Block
from wsss.models.segmentation_networks.tiled_prediction import TiledImage, fits_tile
from wsss.models.windows.tile_limits import tile_multiple
from wsss.models.windows.tile_windows import Tiling

MAX_PROBABILITIES = 1 << 26
"""Maximum number of probabilities (classes × pixels) of images that are predicted in one block: 256 MiB per array."""

MAX_PIXELS = 1 << 22
"""Maximum number of pixels, at the largest scale, of a full-size image that is predicted as a whole by default."""

MAX_WHOLE = 1 << 28
"""Maximum number of probabilities of such an image: 1 GiB per array. With at most 64 classes, `MAX_PIXELS` is less."""

MAX_KEPT = 1 << 32
"""Maximum size in bytes of the probabilities of an image that are returned."""

TILING = Tiling(1024, 256)
"""Tiles of larger images by default; sides are rounded up to multiples of the network's stride."""

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


def predict(
    segmenter: nn.Module,
    images: NDArray[np.uint8],
    classes: int,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
    tiling: Tiling | None = None,
    probabilities: bool = False,
    change: Callable[[Tensor, slice], Tensor] = lambda values, which: values,
) -> Prediction:
    """Return the most probable class of every pixel.

    Args:
        segmenter, images, scales, flip, max_side: see `inference.class_probabilities`.
        classes: number C of classes.
        tiling: tiles of images that are larger than one; by default `TILING`, for images that `needs_tiles`.
        probabilities: also return probabilities: 2 bytes × classes × pixels.
        change: probabilities ``(b, C, h, w)`` of a block, slice of the batch → probabilities to use instead.

    Raises:
        InvalidInput: the logits are not finite, or the probabilities would take more than `MAX_KEPT`.
    """
    count, height, width = images.shape[:3]
    if probabilities:
        require_bounded(2 * classes * height * width)
    masks = np.empty((count, height, width), np.uint8)
    kept = np.empty((count, classes, height, width), np.float16) if probabilities else None
    for which, blocks in blocks_of_batch(segmenter, images, classes, tuple(scales), flip, max_side, tiling):
        for block in blocks:
            changed = change(block.probabilities, which)
            masks[which, block.rows, block.columns] = changed.argmax(1).to(torch.uint8).cpu().numpy()
            if kept is not None:
                kept[which, :, block.rows, block.columns] = changed.half().cpu().numpy()
    return Prediction(masks, kept)


def probability_array(
    segmenter: nn.Module,
    image: NDArray[np.uint8],
    classes: int,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
    tiling: Tiling | None = None,
) -> NDArray[np.float32]:
    """Return the class probabilities ``(C, H, W)`` of an image.

    Args:
        segmenter, classes, scales, flip, max_side: see `predict`.
        image: ``(H, W, 3)`` uint8 RGB.
        tiling: tiles of an image that is larger than one; by default, it is predicted as a whole.

    Raises:
        InvalidInput: the logits are not finite, or the probabilities would take more than `MAX_KEPT`.
    """
    height, width = image.shape[:2]
    require_bounded(4 * classes * height * width)
    if tiling is None or fits_tile((height, width), scales, max_side, tiling):
        whole = class_probabilities(segmenter, image[None], scales=scales, flip=flip, max_side=max_side)
        return np.asarray(whole[0].cpu().numpy(), np.float32)
    kept = np.empty((classes, height, width), np.float32)
    tiles = TiledImage(segmenter, image, scales=scales, flip=flip, max_side=max_side, tiling=tiling)
    for block in tiles.blocks():
        kept[:, block.rows, block.columns] = block.probabilities[0].cpu().numpy()
    return kept


def require_bounded(size: int) -> None:
    """Require that the probabilities of an image fit into memory.

    Args:
        size: in bytes.

    Raises:
        InvalidInput: more than `MAX_KEPT`.
    """
    if size > MAX_KEPT:
        raise InvalidInput(
            "the probabilities of all pixels are too large",
            allowed=f"at most {MAX_KEPT:,} bytes",
            found=Verbatim(f"{size:,} bytes"),
            hint="Predict masks only, or cut the image into parts.",
        )


def needs_tiles(size: tuple[int, int], classes: int, scales: Sequence[float], max_side: int | None) -> bool:
    """Return whether an image of a size (height, width) is not downscaled, and too large to be predicted as a whole."""
    pixels = _pixels(size, scales, max_side)
    return reduction(size, max_side) == 1 and (pixels > MAX_PIXELS or classes * pixels > MAX_WHOLE)


def tiling_for(
    segmenter: nn.Module,
    size: tuple[int, int],
    classes: int,
    scales: Sequence[float],
    max_side: int | None,
    tiling: Tiling | None,
) -> Tiling | None:
    """Return the tiles in which an image is predicted; ``None`` if it is predicted as a whole.

    Args:
        segmenter, classes, scales, max_side, tiling: see `predict`.
        size: height and width.
    """
    if tiling is None and needs_tiles(size, classes, scales, max_side):
        multiple = tile_multiple(segmenter)
        tiling = Tiling(*(ceil(pixels / multiple) * multiple for pixels in (TILING.tile, TILING.overlap)))
    return None if tiling is None or fits_tile(size, scales, max_side, tiling) else tiling


def _pixels(size: tuple[int, int], scales: Sequence[float], max_side: int | None) -> float:
    """Return the number of pixels at full size or at the largest scale, whichever is larger."""
    return size[0] * size[1] * max(1.0, reduction(size, max_side) * max(scales)) ** 2


def blocks_of_batch(
    segmenter: nn.Module,
    images: NDArray[np.uint8],
    classes: int,
    scales: tuple[float, ...],
    flip: bool,
    max_side: int | None,
    tiling: Tiling | None,
) -> Iterator[tuple[slice, Iterator[Block]]]:
    """Yield slices of a batch with their blocks: all images in one block, or one image after the other in several.

    Args:
        segmenter, images, classes, scales, flip, max_side, tiling: see `predict`.
    """
    size = (images.shape[1], images.shape[2])
    tiles = tiling_for(segmenter, size, classes, scales, max_side, tiling)
    if tiles is None and classes * _pixels(size, scales, max_side) <= MAX_PROBABILITIES:
        probabilities = class_probabilities(segmenter, images, scales=scales, flip=flip, max_side=max_side)
        yield slice(None), iter([Block(slice(None), slice(None), probabilities)])
        return
    for index, image in enumerate(images):
        if tiles is None:
            blocks = _bands(segmenter, image, scales, flip, max_side)
        else:
            blocks = TiledImage(segmenter, image, scales=scales, flip=flip, max_side=max_side, tiling=tiles).blocks()
        yield slice(index, index + 1), blocks


@torch.no_grad()
def _bands(
    segmenter: nn.Module, image: NDArray[np.uint8], scales: tuple[float, ...], flip: bool, max_side: int | None
) -> Iterator[Block]:
    """Yield bands of rows of an image that passes through the network as a whole.

    Either the probabilities of all views are kept, or their sum at full size, whichever is smaller.
    """
    views = view_probabilities(segmenter, image[None], scales=scales, flip=flip, max_side=max_side)
    size = (image.shape[0], image.shape[1])
    bands = [slice(top, min(top + BAND, size[0])) for top in range(0, size[0], BAND)]
    mirrors, fit = 2 if flip else 1, reduction(size, max_side)
    keep = mirrors * sum((fit * scale) ** 2 for scale in scales) <= 1
    kept = list(views) if keep else []
    total = None if keep else _total(views, size, bands)
    for rows in bands:
        band = _total(kept, size, [rows]) if total is None else total[:, :, rows]
        yield Block(rows, slice(None), band / (mirrors * len(scales)))


def _total(views: Iterable[Tensor], size: tuple[int, int], bands: Sequence[slice]) -> Tensor:
    """Return the sum of views ``(1, C, h, w)`` at full size, in contiguous bands of rows: ``(1, C, rows, W)``."""
    first, total = bands[0].start, None
    for view in views:
        if total is None:
            total = view.new_zeros(1, view.shape[1], bands[-1].stop - first, size[1])
        for rows in bands:
            total[:, :, rows.start - first : rows.stop - first] += upsampled(view, size, rows)
    assert total is not None, "at least one scale"
    return total


def upsampled(probabilities: Tensor, size: tuple[int, int], rows: slice) -> Tensor:
    """Return some rows of ``(1, C, h, w)``, bilinearly upsampled to ``size`` like `F.interpolate`."""
    above, below, weight = (
        torch.from_numpy(each).to(probabilities.device) for each in bilinear_rows(probabilities.shape[2], size[0], rows)
    )
    weight = weight[:, None]
    mixed = probabilities[:, :, above] * (1 - weight) + probabilities[:, :, below] * weight
    return F.interpolate(mixed, (len(above), size[1]), mode="bilinear", align_corners=False)
