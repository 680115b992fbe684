"""The size at which `cam` computes maps: images downscaled to ``max_side``, or in tiles at full resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from wsss.errors import listing
from wsss.models.attribution.config import CamMethod, PlainCam
from wsss.stages.common.image_size_notes import Sizes, reduced_ids

if TYPE_CHECKING:
    from wsss.models.classifier import CAMClassifier
    from wsss.models.windows.tile_windows import Tiling
    from wsss.pipeline.stage import Context

MaxSide = int | Literal["auto"] | None

AUTO_SIDE = 1024
"""``max_side: auto`` of classifiers trained on whole images; those trained on tiles get larger images in tiles."""


class SizeSettings(Protocol):
    """The settings of `wsss.stages.cam` that determine the size."""

    method: CamMethod
    max_side: MaxSide
    tile: int | None
    overlap: int | None
    scales: tuple[float, ...]
    adapt: Any


@dataclass(frozen=True)
class CamSize:
    """The size of the network's input.

    Args:
        max_side: longer side in pixels to which larger images are downscaled; ``None``: no limit.
        tiling: tiles of images that are larger than a tile.
    """

    max_side: int | None
    tiling: Tiling | None


def limit(max_side: MaxSide, tile: int | None) -> int | None:
    """Return ``max_side``, for ``auto`` that of classifiers trained on whole images; no limit if tiles are set."""
    if max_side == "auto":
        return AUTO_SIDE if tile is None else None
    return max_side


def is_full_resolution(classifier: CAMClassifier, config: SizeSettings) -> bool:
    """Return whether the classifier was trained on tiles, or is fine-tuned on them, not on downscaled images."""
    return classifier.trained_on_tiles or config.adapt is not None


def cam_size(classifier: CAMClassifier, config: SizeSettings) -> CamSize:
    """Return the size for a classifier.

    A classifier that was trained on tiles at full resolution is less accurate on downscaled images, whose structures
    are smaller. With ``auto``, it gets large images in tiles instead, unless the method needs all pixels of an image.

    Raises:
        InvalidInput: see `wsss.models.windows.tile_limits.tiling_of`.
    """
    from wsss.models.windows.tile_limits import tile_multiple, tiling_of

    max_side, tile = limit(config.max_side, config.tile), config.tile
    if config.max_side == "auto" and is_full_resolution(classifier, config) and config.method.name == PlainCam().name:
        multiple, largest = tile_multiple(classifier), AUTO_SIDE * max(1.0, *config.scales)
        max_side, tile = None, tile or math.ceil(largest / multiple) * multiple
    return CamSize(max_side, tiling_of(classifier, tile, config.overlap, subject="cam."))


def note_full_resolution(ctx: Context[Any], sizes: Sizes, classifier: CAMClassifier, size: CamSize) -> None:
    """Log which large images a classifier trained on tiles gets at full resolution, or downscaled.

    Args:
        ctx: the context of the stage.
        sizes: ids and sizes of all images.
        classifier, size: see `cam_size`.
    """
    if not is_full_resolution(classifier, ctx.config):
        return
    reduced = reduced_ids(sizes, size.max_side)
    learned = f"note: {ctx.out.name}: the classifier was trained on tiles at full resolution"
    if reduced:
        plain = ctx.config.method.name == PlainCam().name
        hint = "max_side: auto computes them in tiles" if plain else f"method {PlainCam().name} computes them in tiles"
        ctx.log(f"{learned}, but {len(reduced)} of {len(sizes)} images were downscaled, which costs accuracy; {hint}.")
    elif ctx.config.max_side == "auto" and (large := reduced_ids(sizes, AUTO_SIDE)):
        ctx.log(
            f"{learned}, so {len(large)} of {len(sizes)} images with a side of more than {AUTO_SIDE} pixels were not "
            f"downscaled: {listing(large)}. To downscale them, set max_side."
        )
