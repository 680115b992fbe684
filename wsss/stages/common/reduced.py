"""What stages say of images that were too large to be worked on at their own size, or as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wsss.errors import listing
from wsss.pipeline.stage import Context

if TYPE_CHECKING:
    from wsss.data.sample import Sample

Sizes = Sequence[tuple[str, tuple[int, int]]]
"""Id and (height, width) of images."""


def note_reduced(ctx: Context[Any], sizes: Sizes, max_side: int | None, *, how: str) -> dict[str, Any]:
    """Log which images were reduced, and return what metrics and scores carry.

    Args:
        ctx: the stage's context.
        sizes: of every image.
        max_side: longer side in pixels to which larger images were reduced; ``None``: none was.
        how: how the result was brought back to full size.

    Returns:
        ``{"reduced": {"max_side": …, "images": number}}``; nothing where no image was reduced.
    """
    ids = reduced_ids(sizes, max_side)
    if not ids:
        return {}
    ctx.log(
        f"note: {ctx.out.name}: {len(ids)} of {len(sizes)} images are longer than max_side, {max_side} pixels, and "
        f"were reduced to that; {how}: {listing(ids)}"
    )
    return {"reduced": {"max_side": max_side, "images": len(ids)}}


def reduced_ids(sizes: Sizes, max_side: int | None) -> list[str]:
    """Return the ids of the images whose longer side is above ``max_side`` pixels."""
    return [id for id, size in sizes if max_side is not None and max(size) > max_side]


def note_predicted(ctx: Context[Any], samples: Sequence[Sample], classes: int) -> dict[str, Any]:
    """Log which images the stage `predict` reduced or cut into tiles, and return what its metrics carry.

    Args:
        ctx: the stage's context, with its masks written.
        samples: its images; those without a mask don't count.
        classes: number of classes.

    Returns:
        ``{"reduced": …}`` as from `note_reduced`, and ``{"tiled": {"images": number}}``, where there are any.
    """
    from wsss.models.blockwise_prediction import needs_tiles

    config, sizes = ctx.config, _sizes_of_masks(ctx, samples)
    noted = note_reduced(ctx, sizes, config.max_side, how="probabilities were enlarged again (bilinear)")
    tiled = [id for id, size in sizes if needs_tiles(size, classes, config.scales, config.max_side)]
    if not tiled:
        return noted
    ctx.log(
        f"note: {ctx.out.name}: {len(tiled)} of {len(sizes)} images are too large to be predicted as a whole and were "
        f"predicted in overlapping tiles: {listing(tiled)}. A network that was trained on reduced images needs "
        "max_side."
    )
    return {**noted, "tiled": {"images": len(tiled)}}


def _sizes_of_masks(ctx: Context[Any], samples: Sequence[Sample]) -> list[tuple[str, tuple[int, int]]]:
    """Return id and size of every image that has a mask in the stage's folder, from the masks' headers."""
    from wsss.io.files.stage_files import mask_path
    from wsss.io.rasters.rgb_images import open_image

    sizes: list[tuple[str, tuple[int, int]]] = []
    for sample in samples:
        path = mask_path(ctx.out, sample.id)
        if path.is_file():
            with open_image(path, decode=False) as mask:
                sizes.append((sample.id, (mask.height, mask.width)))
    return sizes
