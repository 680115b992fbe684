"""EXIF orientation of images opened by Pillow."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from wsss.io.rasters.pixel_values.stored_pages import ORIENTATION

if TYPE_CHECKING:
    from PIL import Image


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an open image, 1 … 8; 1 if missing or broken."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):  # broken EXIF
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image, turn: int) -> Image.Image:
    """Return the image rotated and mirrored according to its EXIF orientation ``turn`` (1 … 8)."""
    from PIL.Image import Transpose

    steps = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(steps[turn]) if turn in steps else image
