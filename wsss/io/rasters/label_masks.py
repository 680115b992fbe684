"""Masks as 8-bit palette PNG with the colours of PASCAL VOC; 255 means ignore."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput, Verbatim, listing
from wsss.io.files.atomic import atomic_open
from wsss.io.rasters.pixel_values.native_order import in_native_order
from wsss.io.rasters.pixel_values.stored_pages import stored_pages
from wsss.io.rasters.rgb_images import image_errors, open_image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

IGNORE = 255
"""Mask value (and class index) of ignored pixels: unlabelled, uncertain, object borders."""

BACKGROUND = "background"
"""Name of class 0."""

IGNORED_NAMES = ("ignore", "ignored", "ignore (255)")

BLOCK = 1 << 20
"""Pixels converted at a time."""

BITS_PER_SAMPLE = 258
"""TIFF tag: bits per value."""

LISTED = 5
"""Maximum number of unknown values listed in an error."""

MAX_COLOURS = 8
"""More unknown colours than this are attributed to antialiasing."""

SMOOTHED = (
    "Antialiased edges or JPEG compression add this many colours: draw and resize the mask without antialiasing "
    "(nearest neighbour). "
)
ROTATE = "Rotate the mask like its image, which is read upright, according to its EXIF orientation."
SAVE_INDEXED = "Save it as an indexed or grey PNG whose pixel values are class ids."


def ignored_name(classes: Collection[str]) -> str:
    """Return a name for ignored pixels that is not one of ``classes``: by default ``ignore``."""
    return next(name for name in IGNORED_NAMES if name not in classes)


def voc_palette(count: int = 256) -> NDArray[np.uint8]:
    """Return the palette of PASCAL VOC, which distributes the bits of an index over red, green and blue.

    Args:
        count: number of colours; VOC has 256, and up to 2²⁴ are distinct.

    Returns:
        ``(count, 3)`` uint8.
    """
    index = np.arange(count)
    palette = np.zeros((count, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def value_counts(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the number of pixels of every value, ``(256,)``; block by block, since NumPy widens what it counts.

    Args:
        mask: any shape, uint8.
    """
    flat = mask.ravel()
    counts = np.zeros(256, np.int64)
    for start in range(0, flat.size, BLOCK):
        counts += np.bincount(flat[start : start + BLOCK], minlength=256)
    return counts


def foreground_values(mask: NDArray[np.uint8]) -> list[int]:
    """Return the values of a mask other than 0 and 255, ascending."""
    return [value for value in np.flatnonzero(value_counts(mask)).tolist() if value not in (0, IGNORE)]


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write an ``(H, W)`` uint8 mask as a palette PNG, atomically and deterministically."""
    from PIL import Image

    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"expected a mask (H, W) of uint8, got {mask.shape} {mask.dtype}")
    image = Image.fromarray(mask).convert("L")
    image.putpalette(voc_palette().ravel().tolist())
    with atomic_open(path) as file:
        image.save(file, format="PNG")


def read_mask(path: Path, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read a mask as ``(H, W)`` uint8 values; see `load_mask`.

    Args:
        size: expected ``(height, width)``.

    Raises:
        InvalidInput: the file is missing, broken, not a mask, or of another size.
    """
    return load_mask(path, size=size)[0]


def load_mask(
    path: Path, *, size: tuple[int, int] | None = None, grey: bool = False
) -> tuple[NDArray[np.uint8], str | None]:
    """Read a mask, and describe the conversion of its pixels to values, if any.

    The values of 8-bit palette (indices, not colours) and grey images, of 1-bit images (0 and 1) and of 16-bit images
    up to 255 are used unchanged. Colours of VOC's palette, and of any GIF, become palette indices; colours with equal
    red, green and blue become grey values.

    Args:
        size: expected ``(height, width)``.
        grey: read colours with equal red, green and blue as grey values even if all are in VOC's palette; for datasets
            that define the values of their masks.

    Returns:
        ``(H, W)`` uint8, and the conversion as a phrase (``"colours of VOC's palette"``) or ``None``.

    Raises:
        InvalidInput: the file is missing, broken, not a mask (other colours, JPEG, several frames, values above 255),
            or of another size.
    """
    with open_image(path) as image, image_errors(path):
        _refuse_format(image, path)
        mask, conversion = _values(image, path, grey=grey)
    require_size(mask, size, path)
    return mask, conversion


def require_size(mask: NDArray[np.uint8], size: tuple[int, int] | None, where: object) -> None:
    """Require that a mask has a ``(height, width)``; ``None`` allows any.

    Raises:
        InvalidInput: another size; its subject is ``where``.
    """
    if size is not None and mask.shape != tuple(size):
        raise InvalidInput(
            "mask and image differ in size (width×height)",
            subject=where,
            allowed=f"{size[1]}×{size[0]}",
            found=Verbatim(f"{mask.shape[1]}×{mask.shape[0]}"),
            hint=ROTATE
            if mask.shape == tuple(size)[::-1]
            else "Use the mask that was drawn on this image, or resize it with nearest neighbour: interpolation would "
            "create values that belong to no class.",
        )


def _refuse_format(image: Image.Image, path: Path) -> None:
    if image.format == "JPEG":
        raise InvalidInput("a mask cannot be a JPEG, which changes pixel values", subject=path, hint=SAVE_INDEXED)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format == "TIFF":
        pages = stored_pages(path)  # without overviews, as of cloud-optimised GeoTIFFs
        frames = 1 if [page.frame for page in pages] == [0] else frames
        in_native_order(image)  # counting frames makes Pillow read the first one again
    if frames > 1:
        raise InvalidInput(subject=path, allowed="a single frame", found=frames, hint=SAVE_INDEXED)


def _values(image: Image.Image, path: Path, *, grey: bool) -> tuple[NDArray[np.uint8], str | None]:
    if image.format == "GIF" and image.mode == "P":
        # Programs renumber a GIF's palette, so only its colours identify the classes.
        return _values_of_colours(np.asarray(image.convert("RGB")), path, grey=grey)[0], None
    if image.mode in ("P", "L", "1"):
        values, scale = np.array(image, dtype=np.uint8), _scale(image)
        return (values if scale == 1 else values // np.uint8(scale)), None
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return _bytes(np.asarray(image), path), "values of more than 8 bits"
    if image.mode in ("LA", "PA", "RGBA"):
        if np.asarray(image.getchannel("A")).min() < 255:
            raise InvalidInput("the mask has transparent pixels", subject=path, hint=SAVE_INDEXED)
        if image.mode != "RGBA":
            return np.array(image.getchannel(0), dtype=np.uint8), None
        image = image.convert("RGB")
    if image.mode == "RGB":
        return _values_of_colours(np.asarray(image), path, grey=grey)
    raise InvalidInput(
        "unsupported image mode",
        subject=path,
        allowed="an 8-bit palette or grey image",
        found=image.mode,
        hint=SAVE_INDEXED,
    )


def _scale(image: Image.Image) -> int:
    """Return the factor by which Pillow multiplied the grey values of a TIFF of 2 or 4 bits, which are classes here."""
    bits = int(np.max(getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, 8)))
    return 255 // (2**bits - 1) if image.mode == "L" and image.format == "TIFF" and 1 < bits < 8 else 1


def _bytes(values: NDArray[np.integer], path: Path) -> NDArray[np.uint8]:
    invalid = np.unique(values[(values < 0) | (values > 255)])
    if invalid.size:
        found = Verbatim(listing(invalid[:LISTED].tolist(), limit=LISTED, total=invalid.size))
        raise InvalidInput(subject=path, allowed="mask values from 0 to 255", found=found, hint=SAVE_INDEXED)
    return values.astype(np.uint8)


def _values_of_colours(pixels: NDArray[np.uint8], path: Path, *, grey: bool) -> tuple[NDArray[np.uint8], str | None]:
    """Return the palette indices or grey values of RGB pixels ``(H, W, 3)``, and the conversion as a phrase.

    Raises:
        InvalidInput: there are colours that are neither.
    """
    known, seen = np.zeros(1 << 24, bool), np.zeros(1 << 24, bool)  # one flag per colour
    value = np.zeros(1 << 24, np.uint8)
    palette = _codes(voc_palette())
    known[palette], value[palette] = True, np.arange(len(palette))
    mask, is_grey = np.empty(pixels.shape[:2], np.uint8), True
    rows = max(1, BLOCK // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):  # the codes of all pixels would take six times the memory of the image
        block = pixels[top : top + rows]
        codes = _codes(block)
        seen[codes] = True
        mask[top : top + rows] = value[codes]
        is_grey = is_grey and bool((block[..., :1] == block).all())
    unknown = np.flatnonzero(seen & ~known)
    if is_grey and (grey or unknown.size):
        return np.ascontiguousarray(pixels[..., 0]), "colours with equal red, green and blue"
    if unknown.size:
        colours = [f"({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in unknown[:LISTED].tolist()]
        raise InvalidInput(
            subject=path,
            allowed="a mask with the colours of the PASCAL VOC palette",
            found=Verbatim(listing(colours, limit=LISTED, total=unknown.size)),  # a photograph has millions
            hint=SMOOTHED + SAVE_INDEXED if unknown.size > MAX_COLOURS else SAVE_INDEXED,
        )
    return mask, "colours of VOC's palette"


def _codes(pixels: NDArray[np.uint8]) -> NDArray[np.integer]:
    """Return colours ``(…, 3)`` as numbers ``0xRRGGBB``."""
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    return red << 16 | green << 8 | blue
