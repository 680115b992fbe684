"""Masks as 8-bit palette PNG with the colours of PASCAL VOC; 255 means ignore."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import atomic_open
from wsss.io.rasters.rgb_images import explained, open_image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

IGNORE = 255
"""Mask value (and class index) of pixels that belong to no class: unlabelled, uncertain, object borders."""

BACKGROUND = "background"
"""Name of class 0: pixels of none of the classes."""

IGNORED_NAMES = ("ignore", "ignored", "ignore (255)")

BLOCK = 1 << 20
"""Pixels whose colours are looked up at a time."""

LISTED = 5
"""Unknown colours that an error names, at most."""

MOST_COLOURS = 8
"""More unknown colours than this are taken for edges that were smoothed."""

SMOOTHED = (
    "So many colours come from smoothing, at edges or by JPEG: draw and resize the mask without antialiasing (nearest "
    "neighbour). "
)
SAVE_INDEXED = "Save it as an indexed or grey PNG whose pixel values are class ids."
"""What repairs a file that is no mask."""


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
    """Read a mask as ``(H, W)`` uint8 values; see `load_mask`.

    Args:
        path: the file.
        size: ``(height, width)`` that the mask must have.

    Raises:
        InvalidInput: missing, broken, not a mask, or of another size.
    """
    return load_mask(path, size=size)[0]


def load_mask(
    path: Path, *, size: tuple[int, int] | None = None, grey: bool = False
) -> tuple[NDArray[np.uint8], str | None]:
    """Read a mask, and tell how its pixels became values where that isn't plain.

    An 8-bit palette or grey image is read as it is (palette indices, never colours; but colours of a GIF), a 1-bit
    image as 0 and 1, and 16-bit values up to 255 as they are. Colours of VOC's palette become their indices, and
    colours with equal red, green and blue their grey value.

    Args:
        path: the file.
        size: ``(height, width)`` that the mask must have.
        grey: take equal red, green and blue for a grey value even where the colours are also VOC's; for masks whose
            values are named one by one.

    Returns:
        ``(H, W)`` uint8, and the conversion in a few words (``"colours of VOC's palette"``) or ``None``.

    Raises:
        InvalidInput: missing, broken, not a mask (other colours, JPEG, several frames, values above 255), or of
            another size.
    """
    with open_image(path) as image, explained(path):
        _refuse_unfit(image, path)
        mask, conversion = _values(image, path, grey=grey)
    if size is not None and mask.shape != tuple(size):
        raise InvalidInput(
            f"{path}: the mask is {mask.shape[1]}×{mask.shape[0]} (width×height), "
            f"its image {size[1]}×{size[0]}; they must be of one size.",
            hint="Take the mask that was drawn on this image, or resize it with nearest neighbour: smoothing would add "
            "values that stand for no class.",
        )
    return mask, conversion


def _refuse_unfit(image: Image.Image, path: Path) -> None:
    if image.format == "JPEG":
        raise InvalidInput(f"{path}: a mask in JPEG format; its compression changes pixel values.", hint=SAVE_INDEXED)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise InvalidInput(f"{path}: the file holds {frames} frames; a mask has one.", hint=SAVE_INDEXED)


def _values(image: Image.Image, path: Path, *, grey: bool) -> tuple[NDArray[np.uint8], str | None]:
    if image.format == "GIF" and image.mode == "P":
        # Programs renumber a GIF's palette, so that only its colours tell what was saved.
        return _values_of_colours(np.asarray(image.convert("RGB")), path, grey=grey)[0], None
    if image.mode in ("P", "L", "1"):
        return np.array(image, dtype=np.uint8), None  # a 1-bit image has the values 0 and 1
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return _bytes(np.asarray(image), path), "values of more than 8 bits"
    if image.mode in ("LA", "PA", "RGBA"):
        if np.asarray(image.getchannel("A")).min() < 255:
            raise InvalidInput(f"{path}: the mask has transparent pixels, which stand for no class.", hint=SAVE_INDEXED)
        if image.mode != "RGBA":
            return np.array(image.getchannel(0), dtype=np.uint8), None
        image = image.convert("RGB")
    if image.mode == "RGB":
        return _values_of_colours(np.asarray(image), path, grey=grey)
    raise InvalidInput(
        f"{path}: a mask is an 8-bit palette or grey image; the mode of this one is {image.mode!r}.", hint=SAVE_INDEXED
    )


def _bytes(values: NDArray[np.integer], path: Path) -> NDArray[np.uint8]:
    wrong = np.unique(values[(values < 0) | (values > 255)])
    if wrong.size:
        listed = listing(wrong[:LISTED].tolist(), limit=LISTED, total=wrong.size)
        raise InvalidInput(f"{path}: mask values {listed} do not fit 8 bits; expected 0 to 255.", hint=SAVE_INDEXED)
    return values.astype(np.uint8)


def _values_of_colours(pixels: NDArray[np.uint8], path: Path, *, grey: bool) -> tuple[NDArray[np.uint8], str | None]:
    """Return the values that RGB pixels ``(H, W, 3)`` stand for: indices of VOC's palette, or grey values.

    Raises:
        InvalidInput: there are other colours; names them.
    """
    known, seen = np.zeros(1 << 24, bool), np.zeros(1 << 24, bool)  # of all colours
    value = np.zeros(1 << 24, np.uint8)
    palette = _codes(voc_palette())
    known[palette], value[palette] = True, np.arange(len(palette))
    found, is_grey = np.empty(pixels.shape[:2], np.uint8), True
    rows = max(1, BLOCK // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):  # codes of all pixels would take six times the memory of the colours
        block = pixels[top : top + rows]
        codes = _codes(block)
        seen[codes] = True
        found[top : top + rows] = value[codes]
        is_grey = is_grey and bool((block[..., :1] == block).all())
    unknown = np.flatnonzero(seen & ~known)
    if is_grey and (grey or unknown.size):
        return np.ascontiguousarray(pixels[..., 0]), "colours with equal red, green and blue"
    if unknown.size:
        colours = [f"({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in unknown[:LISTED].tolist()]
        listed = listing(colours, limit=LISTED, total=unknown.size)  # millions, where a photograph is given as a mask
        raise InvalidInput(
            f"{path}: a mask in colours, and {listed} {'are' if unknown.size > 1 else 'is'} not in the "
            "palette of PASCAL VOC, so that no class is known for them.",
            hint=SMOOTHED + SAVE_INDEXED if unknown.size > MOST_COLOURS else SAVE_INDEXED,
        )
    return found, "colours of VOC's palette"


def _codes(pixels: NDArray[np.uint8]) -> NDArray[np.integer]:
    """Return each colour ``(…, 3)`` as one number, red in the highest byte."""
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    return red << 16 | green << 8 | blue
