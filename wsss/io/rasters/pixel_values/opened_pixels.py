"""Conversion of opened Pillow images to RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wsss.io.rasters.pixel_values.eight_bits import eight_bits
from wsss.io.rasters.pixel_values.reading import Reading
from wsss.io.rasters.pixel_values.stored_pages import WHITE_IS_ZERO, deep_page
from wsss.io.rasters.pixel_values.stored_pixels import in_stored_type, require_bands

if TYPE_CHECKING:
    from PIL import Image


def to_rgb(image: Image.Image, where: object, reading: Reading) -> Image.Image:
    """Return an image that is open in Pillow as RGB, with the scaling and bands of ``reading``, not rotated.

    Raises:
        InvalidInput: pixels with more than 8 bits, without a scaling; or the image has no such band.
    """
    from PIL import Image

    page = deep_page(image, where)
    if page is not None:
        require_bands(reading.bands, 1, where)
        pixels = eight_bits(in_stored_type(np.asarray(image), page), reading.scaling, page, where)
        return Image.fromarray(255 - pixels if page.photometric == WHITE_IS_ZERO else pixels).convert("RGB")
    # As in `stored_pixels`: bands of a TIFF include its transparency, which is not composited.
    stored = reading.bands is not None and image.format == "TIFF" and image.mode in ("LA", "RGBA", "RGBX")
    colours = image if stored else _composed(image)
    if reading.bands is None:
        return colours
    require_bands(reading.bands, len(colours.getbands()), where)
    channels = [colours.getchannel(band - 1) for band in reading.bands]
    return Image.merge("RGB", channels * (3 // len(channels)))


def has_alpha(image: Image.Image) -> bool:
    """Return whether an image that is open in Pillow has an alpha channel, or a transparent colour."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _composed(image: Image.Image) -> Image.Image:
    from PIL import Image

    if has_alpha(image):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
