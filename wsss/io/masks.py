"""Masks as 8-bit palette PNG with the colours of PASCAL VOC; 255 means ignore."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.atomic import atomic_open
from wsss.io.images import open_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

IGNORE = 255
"""Mask value (and class index) of pixels that belong to no class: unlabelled, uncertain, object borders."""

IGNORED_NAMES = ("ignore", "ignored", "ignore (255)")


def ignored_name(classes: Collection[str]) -> str:
    """Return what ignored pixels are called beside ``classes``: ``ignore``, or another word if that is a class."""
    return next(name for name in IGNORED_NAMES if name not in classes)


def voc_palette(count: int = 256) -> NDArray[np.uint8]:
    """Return VOC's colours as ``(count, 3)`` uint8: the bits of an index dealt out to red, green and blue.

    Args:
        count: VOC has 256; the rule gives up to 2²⁴ different colours.
    """
    index = np.arange(count)
    palette = np.zeros((count, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write an ``(H, W)`` uint8 mask as a palette PNG, atomically; the same mask gives the same bytes."""
    from PIL import Image

    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"a mask is (H, W) uint8, not {mask.shape} {mask.dtype}")
    image = Image.fromarray(mask).convert("L")
    image.putpalette(voc_palette().ravel().tolist())
    with atomic_open(path) as file:
        image.save(file, format="PNG")


def read_mask(path: Path, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read an 8-bit palette or grey PNG as ``(H, W)`` uint8 values, without any conversion of colours.

    Args:
        path: the file.
        size: ``(height, width)`` that the mask must have.

    Raises:
        InvalidInput: missing, broken, not an 8-bit palette or grey image, or of another size.
    """
    with open_image(path) as image:
        if image.mode not in ("P", "L", "1"):
            raise InvalidInput(
                f"{path}: a mask is an 8-bit palette or grey image, this one has mode {image.mode!r}.",
                mend="Save it as an indexed PNG whose pixel values are class ids.",
            )
        # A 1-bit PNG is a mask of the values 0 and 1.
        mask = np.array(image, dtype=np.uint8)
    if size is not None and mask.shape != tuple(size):
        raise InvalidInput(
            f"{path}: the mask is {mask.shape[1]}×{mask.shape[0]} (width×height), "
            f"its image {size[1]}×{size[0]}; they must be of one size."
        )
    return mask
