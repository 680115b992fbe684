"""Reading of images as upright 8-bit RGB, of bounded size."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput, Verbatim, WsssError, unreadable
from wsss.io.files.atomic import atomic_open
from wsss.io.files.recorded import check_recorded
from wsss.io.process.exhausted import raise_if_exhausted
from wsss.io.process.retained_memory import return_freed
from wsss.io.rasters.image_kinds import (
    FORMATS,
    HEIF_PACKAGES,
    PLUGINS,
    content_unread,
    format_of_signature,
    unsupported_reason,
)
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from wsss.io.rasters.pixel_values.eight_bits import rgb_of
from wsss.io.rasters.pixel_values.exif_rotation import orientation, upright
from wsss.io.rasters.pixel_values.native_order import in_native_order
from wsss.io.rasters.pixel_values.opened_pixels import to_rgb
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading
from wsss.io.rasters.pixel_values.stored_pages import StoredPage, stored_page, stored_pages
from wsss.io.rasters.pixel_values.stored_pixels import stored_pixels
from wsss.io.rasters.png_check import check_pixel_chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

MAX_PIXELS = 128_000_000
"""Maximum image size, against decompression bombs; larger images have to be tiled."""

BROKEN_HINT = "Copy the image again from its source, or open it in an image editor and save it."

LARGE = 64_000_000
"""Bytes of an image after which the memory that decoding it took (4 bytes per pixel) returns to the kernel."""

BAND = 64
"""Rows copied from Pillow to NumPy at a time."""


def read_image(path: Path, reading: Reading = PLAIN) -> NDArray[np.uint8]:
    """Read an image as ``(H, W, 3)`` uint8 RGB, rotated upright according to its EXIF orientation.

    CMYK, palette and grey images are converted; transparent images are composited onto white.

    Args:
        reading: scaling of pixels with more than 8 bits, page, and bands.

    Raises:
        InvalidInput: the file is missing, empty, truncated, too large, or not an image; or it has more than 8 bits,
            several pages or more bands, and ``reading`` has no setting for them.
    """
    with image_errors(path):
        page = stored_page(path, reading)
        if page is not None and not page.converted(reading.bands):
            return _stored(path, page, reading)
        with open_image(path, frame=0 if page is None else page.frame) as image:
            return rgb_array(image, path, reading)


def _stored(path: Path, page: StoredPage, reading: Reading) -> NDArray[np.uint8]:
    """Read a page whose values or bands Pillow does not convert to 8-bit RGB."""
    from PIL import Image

    _check_size(path, page.size)
    turn = 1
    if page.png:
        with open_image(path) as image:  # validates the pixels
            turn = orientation(image)
    pixels = rgb_of(stored_pixels(path, page, reading.bands), page, reading, path)
    return pixels if turn == 1 else np.array(upright(Image.fromarray(pixels), turn))


def read_images(sources: Sequence[tuple[Path, Reading]]) -> NDArray[np.uint8]:
    """Read images of one size as ``(B, H, W, 3)`` uint8 RGB; a single one is not copied.

    Args:
        sources: file and reading of each image, see `read_image`.

    Raises:
        InvalidInput: see `read_image`.
    """
    if len(sources) > 1:
        return np.stack([read_image(*source) for source in sources])
    image = read_image(*sources[0])
    if image.size > LARGE:
        return_freed()
    return image[None]


def rgb_array(image: Image.Image, where: object, reading: Reading = PLAIN) -> NDArray[np.uint8]:
    """Return an open image as ``(H, W, 3)`` uint8 RGB, see `read_image`.

    Args:
        image: an image of any mode.
        reading: scaling of 16-bit and floating-point pixels, and bands; the page is the image's current one.

    Raises:
        InvalidInput: pixels with more than 8 bits, without a scaling; or the image has no such band.
    """
    turned = upright(to_rgb(image, where, reading), orientation(image))
    # A copy, since Pillow's array is read-only, which torch warns about; in bands, since Pillow needs twice the memory.
    pixels = np.empty((turned.height, turned.width, 3), np.uint8)
    for top in range(0, turned.height, BAND):
        pixels[top : top + BAND] = np.asarray(turned.crop((0, top, turned.width, min(top + BAND, turned.height))))
    return pixels


def image_size(path: Path, reading: Reading = PLAIN) -> tuple[int, int]:
    """Return ``(height, width)`` of the upright image, from its header (PNG is decoded).

    Raises:
        InvalidInput: the file is missing, empty or not an image, or see `read_image`.
    """
    with image_errors(path):
        page = stored_page(path, reading)
        if page is not None and not page.png:
            _check_size(path, page.size)
            return page.upright_size
        with open_image(path, decode=False) as image:
            width, height = image.size
            return (width, height) if orientation(image) >= 5 else (height, width)


def pixels_in(path: Path) -> int:
    """Return the number of pixels of an image (of its largest page), from its header; 0 if it cannot be read."""
    try:
        with image_errors(path):
            if pages := stored_pages(path):
                return max(page.size[0] * page.size[1] for page in pages)
        with open_image(path, decode=False) as image:
            return image.width * image.height
    except InvalidInput:
        return 0


def size_if_readable(path: Path, reading: Reading = PLAIN) -> tuple[int, int] | None:
    """Return `image_size`, or ``None`` if the image cannot be read."""
    try:
        return image_size(path, reading)
    except InvalidInput:
        return None


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write ``(H, W, 3)`` RGB or ``(H, W)`` grey uint8 pixels as a PNG, atomically."""
    from PIL import Image

    with atomic_open(path) as file:
        Image.fromarray(pixels).save(file, format="PNG")


def open_image(path: Path, *, decode: bool = True, frame: int = 0) -> Image.Image:
    """Open an image of bounded size.

    Only `wsss.io.rasters.image_kinds.FORMATS` are supported, whatever the file's suffix.

    Args:
        decode: also decode the pixels.
        frame: index of the page of a TIFF.

    Raises:
        InvalidInput: the file is missing, empty, truncated, too large, an animated GIF, or not a supported image.
    """
    from PIL import Image

    with image_errors(path):
        if path.stat().st_size == 0:
            raise InvalidInput("the file is empty (0 bytes)", subject=path)
        if decode:
            check_recorded(path)
        image = Image.open(path, formats=_formats())
        try:
            if image.format == "TIFF":
                image.filename = ""  # Pillow would map the file into memory, which scrambles rotated grey images
            if frame:
                image.seek(frame)
            if image.format == "TIFF":
                in_native_order(image)
            _check_size(path, (image.height, image.width))
            if image.format == "GIF" and frames(image) > 1:
                raise InvalidInput(
                    "animations are not supported",
                    subject=path,
                    allowed="a single frame",
                    found=frames(image),
                    hint="Save one frame as PNG.",
                )
            if decode:
                check_pixel_chunks(path)
                image.load()
        except BaseException:
            image.close()
            raise
        return image


def frames(image: Image.Image) -> int:
    """Return the number of frames of an open image other than TIFF; only the first one is read.

    Previews in a JPEG and further images of a HEIC container are not counted.
    """
    return getattr(image, "n_frames", 1) if image.format in ("GIF", "PNG", "WEBP", "AVIF") else 1


@cache
def _formats() -> tuple[str, ...]:
    """Register the plugins of `FORMATS`, and return the formats that can be opened."""
    from PIL import Image

    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow warns of larger images, which have a limit of their own here
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS)

    for name in PLUGINS:
        module = f"PIL.{name}ImagePlugin"
        if find_spec(module) is not None:  # older versions of Pillow lack AVIF
            import_module(module)
    package = next((name for name in HEIF_PACKAGES if find_spec(name) is not None), None)
    if package is not None:
        import_module(package).register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def image_errors(path: Path) -> Iterator[None]:
    """Convert Pillow's exceptions to errors about a file."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except FileNotFoundError as error:
        raise unreadable(path, error) from error
    except UnidentifiedImageError as error:
        raise InvalidInput(_description(path), subject=path, hint=BROKEN_HINT) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, str(error).partition(",")[0]) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise_if_exhausted(error)
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        raise _broken(path, error) from error
    except (WsssError, MemoryError):
        raise
    except Exception as error:  # any exception of a decoder: RuntimeError of AVIF, zlib.error …
        raise_if_exhausted(error)
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> InvalidInput:
    return InvalidInput(f"the image is broken or truncated ({error})", subject=path, hint=BROKEN_HINT)


def _description(path: Path) -> str:
    """Describe a file that Pillow cannot identify, by its suffix or content, with a suggested fix."""
    with path.open("rb") as file:
        beginning = file.read(64)
    other = unsupported_reason(path.name) or content_unread(beginning)
    if other is None and (kind := format_of_signature(beginning)):
        return f"it begins like {kind}, but is broken or truncated"
    return other or "not an image"


def _check_size(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise _too_large(path, f"{size[1]}×{size[0]} pixels")


def _too_large(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        "the image is too large",
        subject=path,
        allowed=f"at most {MAX_PIXELS:,} pixels",
        found=Verbatim(found),
        hint="Cut the image into tiles.",
    )
