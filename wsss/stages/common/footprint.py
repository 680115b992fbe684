"""Memory estimates per image, used by `wsss.pipeline.run.items.map_items` to limit the number of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.data.sample import Sample


def image_bytes(sample: Sample, *, per_pixel: int) -> int:
    """Return ``per_pixel`` bytes times the number of pixels, read from the image header; 0 if it cannot be read.

    Measured values of ``per_pixel`` are in docs/pipelines.md, "Large photographs".
    """
    from wsss.io.rasters.rgb_images import pixels_in

    return per_pixel * pixels_in(sample.image)
