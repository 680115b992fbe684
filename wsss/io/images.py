"""Reading photographs: always 8-bit RGB, upright, of a bounded size."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.atomic import atomic_open

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

MAX_PIXELS = 100_000_000
"""Larger images are refused: a decompression bomb, or something to cut into tiles first."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as ``(H, W, 3)`` uint8 RGB, turned upright by its EXIF orientation.

    CMYK, palette, grey and 16-bit grey images are converted (16-bit: the upper 8 bits); transparency is laid on
    white.

    Raises:
        InvalidInput: missing, empty, truncated, too large, or not an image.
    """
    from PIL import ImageOps

    with open_image(path) as image:
        upright = ImageOps.exif_transpose(image)
        return np.asarray(_to_rgb(upright), dtype=np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """Return ``(height, width)`` of the upright image, from its header alone.

    Raises:
        InvalidInput: missing, empty or not an image.
    """
    with open_image(path, decode=False) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (width, height) if turned else (height, width)


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write ``(H, W, 3)`` RGB or ``(H, W)`` grey uint8 pixels as a PNG, atomically."""
    from PIL import Image

    with atomic_open(path) as file:
        Image.fromarray(pixels).save(file, format="PNG")


def open_image(path: Path, *, decode: bool = True) -> Image.Image:
    """Open an image of a bounded size, decoded unless told otherwise; errors name the file.

    Raises:
        InvalidInput: missing, empty, truncated, too large, or not an image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size == 0:
            raise InvalidInput(f"{path}: the file is empty (0 bytes).")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is checked below
            image = Image.open(path)
        if image.width * image.height > MAX_PIXELS:
            image.close()
            raise InvalidInput(
                f"{path}: {image.width}×{image.height} pixels; at most {MAX_PIXELS:,} are allowed.",
                mend="Cut the image into smaller ones.",
            )
        if decode:
            image.load()
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except UnidentifiedImageError as error:
        raise InvalidInput(f"{path}: not an image that can be read.") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"{path}: the image is broken or truncated ({error}).") from error
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise InvalidInput("floating-point images have no defined range; convert the image to 8 or 16 bits.")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
