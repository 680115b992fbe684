"""Notes and metrics on images that were downscaled to ``max_side`` or predicted in tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, Verbatim, listing
from wsss.pipeline.run.items import raise_failures
from wsss.pipeline.stage import Context

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wsss.data.sample import Sample
    from wsss.models.windows.tile_windows import Tiling

Sizes = Sequence[tuple[str, tuple[int, int]]]
"""Id and (height, width) of images."""


def note_reduced(ctx: Context[Any], sizes: Sizes, max_side: int | None, *, how: str) -> dict[str, Any]:
    """Log which images were downscaled, and return an entry for metrics and provenance.

    Args:
        ctx: the context of the stage.
        sizes: ids and sizes of all images.
        max_side: longer side in pixels to which larger images were downscaled; ``None``: no limit.
        how: how the result was brought back to full size.

    Returns:
        ``{"reduced": {"max_side": …, "images": number}}``; empty if no image was downscaled.
    """
    ids = reduced_ids(sizes, max_side)
    if not ids:
        return {}
    ctx.log(
        f"note: {ctx.out.name}: {len(ids)} of {len(sizes)} images exceed max_side and were downscaled to {max_side} "
        f"pixels; {how}: {listing(ids)}"
    )
    return {"reduced": {"max_side": max_side, "images": len(ids)}}


def reduced_ids(sizes: Sizes, max_side: int | None) -> list[str]:
    """Return the ids of the images whose longer side exceeds ``max_side`` pixels."""
    return [id for id, size in sizes if max_side is not None and max(size) > max_side]


def note_predicted(
    ctx: Context[Any], samples: Sequence[Sample], classes: int, network: nn.Module, tiling: Tiling | None
) -> dict[str, Any]:
    """Log which images `predict` downscaled or split into tiles, and return entries for its metrics and provenance.

    Args:
        ctx: the context of the stage, with its masks written.
        samples: the images; those without a mask are skipped.
        classes: number of classes.
        network: the segmentation network.
        tiling: tiles of larger images; ``None``: the default.

    Returns:
        ``{"reduced": …}`` as from `note_reduced`, and ``{"tiled": …}`` as from `note_tiled`, if there are any.
    """
    from wsss.models.segmentation_networks.blockwise_prediction import tiling_for

    config, sizes = ctx.config, _sizes_of_masks(ctx, samples)
    noted = note_reduced(ctx, sizes, config.max_side, how="probabilities were upsampled (bilinear)")
    used = {id: tiling_for(network, size, classes, config.scales, config.max_side, tiling) for id, size in sizes}
    return noted | note_tiled(ctx, {id: tiles for id, tiles in used.items() if tiles}, len(sizes), network, network)


def note_tiled(
    ctx: Context[Any], tiled: Mapping[str, Tiling], images: int, network: nn.Module, compute: Callable[[Tensor], Tensor]
) -> dict[str, Any]:
    """Log which images were split into tiles, and whether the network depends on more than a tile.

    Args:
        ctx: the context of the stage.
        tiled: ids and tiles of these images.
        images: number of all images.
        network, compute: see `wsss.models.windows.view_windows.ViewWindows`.

    Returns:
        ``{"tiled": {"images": number, "tile": …, "overlap": …, "approximate": [reasons]}}``; empty without tiles.
    """
    from wsss.models.windows.tile_limits import approximations, tile_multiple
    from wsss.models.windows.view_windows import pooling_calls

    if not tiled:
        return {}
    tiling = next(iter(tiled.values()))
    ctx.log(
        f"note: {ctx.out.name}: {len(tiled)} of {images} images were processed in tiles of {tiling.tile} pixels with "
        f"an overlap of {tiling.overlap}: {listing(tiled)}. For a network trained on downscaled images, set max_side "
        "instead."
    )
    reasons = approximations(network, pooling_calls(network, compute, 2 * tile_multiple(network)))
    if reasons:
        ctx.log(
            f"note: {ctx.out.name}: the tiles are an approximation of the whole image, on which this network depends: "
            f"{listing(reasons)}."
        )
    entry = {"images": len(tiled), "tile": tiling.tile, "overlap": tiling.overlap}
    return {"tiled": entry | ({"approximate": reasons} if reasons else {})}


def _sizes_of_masks(ctx: Context[Any], samples: Sequence[Sample]) -> list[tuple[str, tuple[int, int]]]:
    """Return id and size of every image that has a mask in the folder of the stage, from the headers of the masks."""
    from wsss.io.files.stage_files import mask_path
    from wsss.io.rasters.rgb_images import open_image

    sizes: list[tuple[str, tuple[int, int]]] = []
    for sample in samples:
        path = mask_path(ctx.out, sample.id)
        if path.is_file():
            with open_image(path, decode=False) as mask:
                sizes.append((sample.id, (mask.height, mask.width)))
    return sizes


def require_whole_images(
    samples: Sequence[Sample], classes: int, scales: Sequence[float], max_side: int | None
) -> None:
    """Require readable images that `predict` would predict as a whole.

    Args:
        samples: the images.
        classes, scales, max_side: see `wsss.models.segmentation_networks.blockwise_prediction.needs_tiles`.

    Raises:
        InvalidInput: some images are unreadable or too large; lists them.
    """
    from wsss.io.rasters.rgb_images import image_size
    from wsss.models.segmentation_networks.blockwise_prediction import needs_tiles

    failed = []
    for sample in samples:
        try:
            height, width = image_size(*sample.source)
        except InvalidInput as error:
            failed.append(error)
            continue
        if needs_tiles((height, width), classes, scales, max_side):
            failed.append(
                InvalidInput(
                    "the image is too large to be predicted as a whole",
                    subject=sample.image,
                    found=Verbatim(f"{width} × {height} pixels"),
                    hint="Set max_side, as in predict, or choose smaller images.",
                )
            )
    raise_failures(failed, len(samples))
