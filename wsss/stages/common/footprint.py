"""Memory estimates per image, by which `wsss.pipeline.run.items.map_items` limits the number of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.data.sample import Sample


def image_bytes(sample: Sample, *, per_pixel: int) -> int:
    """Return ``per_pixel`` times the number of pixels in the header of an image; 0 if it cannot be read.

    Measured values of ``per_pixel`` are in docs/pipelines.md, "Large photographs".
    """
    from wsss.io.rasters.rgb_images import pixels_in

    return per_pixel * pixels_in(sample.image)
