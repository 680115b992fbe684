"""How much memory the work on an image takes, for `wsss.pipeline.items.map_items`: so that not too many are at work."""

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
    from wsss.io.images import pixels_in

    return per_pixel * pixels_in(sample.image)
