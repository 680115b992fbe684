"""Memory needed per image, by which `wsss.pipeline.run.items.map_items` bounds the number of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.data.sample import Sample


def image_bytes(sample: Sample, *, per_pixel: int) -> int:
    """Estimate the bytes for one image, by the pixels that its header gives.

    Args:
        sample: the image.
        per_pixel: bytes, measured (docs/pipelines.md, "Large photographs").
    """
    from wsss.io.rasters.rgb_images import pixels_in

    return per_pixel * pixels_in(sample.image)
