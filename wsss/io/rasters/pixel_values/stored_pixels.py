"""The values of an image as they are stored, at full depth and with all bands."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, Verbatim, counted
from wsss.io.rasters.pixel_values.native_order import in_native_order
from wsss.io.rasters.pixel_values.stored_pages import ORIENTATION, RGB, StoredPage

if TYPE_CHECKING:
    from numpy.typing import NDArray

GEO = "pip install 'wsss[geo]'"


def stored_pixels(path: Path, page: StoredPage, bands: tuple[int, ...] | None) -> NDArray[Any]:
    """Return bands of a page.

    Args:
        path: the file, validated by Pillow if Pillow can open it.
        page: its header.
        bands: numbers of the bands, from 1; ``None``: all of them.

    Returns:
        ``(H, W, C)``: uint8, uint16, int16, … or float; a TIFF upright, a PNG as stored.

    Raises:
        InvalidInput: the file has no such band, or requires the extra ``geo``.
        OSError, ValueError: the pixels are broken.
    """
    require_bands(bands, page.bands, path)
    if page.png:
        values = _png(path, page)
    elif not page.planar and _read_by_pillow(page):
        values = _with_pillow(path, page)
    else:
        return _turned(_with_rasterio(path, page, bands), page.turn)
    return values if bands is None else values[..., [band - 1 for band in bands]]


def require_bands(bands: tuple[int, ...] | None, count: int, where: object) -> None:
    """Check that an image has the chosen bands.

    Raises:
        InvalidInput: a number is above ``count``.
    """
    if bands is not None and max(bands) > count:
        raise InvalidInput(
            "no such band",
            subject=where,
            allowed=f"data.bands (wsss predict: --bands) from 1 to {count}",
            found=list(bands),
            hint="wsss predict --images uses the bands of the training images; override them: --bands 1.",
        )


def in_stored_type(values: NDArray[Any], page: StoredPage) -> NDArray[Any]:
    """Return Pillow's values in the type of the file: Pillow's integers are signed and have 32 bits."""
    if page.kind == "float":
        return values
    width = next(bits for bits in (8, 16, 32) if bits >= page.bits)
    return values.astype(np.dtype(f"{page.kind}{width}"))


def _read_by_pillow(page: StoredPage) -> bool:
    from PIL.TiffImagePlugin import COMPRESSION_INFO

    if page.compression not in COMPRESSION_INFO:  # such as LERC
        return False
    if page.bands == 1:
        if page.big_endian and page.depth in ("12-bit", "32-bit"):
            return False
        return page.depth in ("8-bit", "12-bit", "16-bit", "16-bit signed", "32-bit", "32-bit signed") or (
            page.depth == "32-bit floating-point"
        )
    return page.depth == "8-bit" and page.photometric == RGB and page.bands - page.alpha == 3


def _png(path: Path, page: StoredPage) -> NDArray[Any]:
    import cv2

    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != page.size:
        raise ValueError("not a valid 16-bit PNG")
    if values.ndim == 2:
        values = values[..., None]
    elif page.bands == 2:
        values = values[..., [0, -1]]
    else:
        values = values[..., [2, 1, 0, 3][: values.shape[2]]]
    return np.asarray(values[..., : page.bands], np.uint16)


def _with_pillow(path: Path, page: StoredPage) -> NDArray[Any]:
    from PIL import Image

    # From a file: Pillow maps a path into memory, which scrambles rotated grey images.
    with path.open("rb") as file, Image.open(file, formats=("TIFF",)) as image:
        image.seek(page.frame)
        in_native_order(image)
        image.load()
        left = image.getexif().get(ORIENTATION, 1)  # Pillow may have rotated the pixels, and then removes the tag
        pixels = np.asarray(image)
    values = _turned(pixels if pixels.ndim == 3 else pixels[..., None], left)
    if values.shape != (*page.upright_size, page.bands):
        raise ValueError("the header is inconsistent")
    return in_stored_type(values, page)


def _turned(values: NDArray[Any], turn: int) -> NDArray[Any]:
    """Rotate and mirror stored pixels ``(H, W, C)`` according to their EXIF orientation."""
    match turn:
        case 2:
            return values[:, ::-1]
        case 3:
            return values[::-1, ::-1]
        case 4:
            return values[::-1]
        case 5:
            return values.swapaxes(0, 1)
        case 6:
            return np.rot90(values, -1)
        case 7:
            return values[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(values, 1)
    return values


def _with_rasterio(path: Path, page: StoredPage, bands: tuple[int, ...] | None) -> NDArray[Any]:
    what = f"a TIFF of {counted(page.bands, 'band')} with {page.depth} values"
    rasterio = require_rasterio(path, what)
    name = f"GTIFF_DIR:{page.frame + 1}:{path.absolute()}"
    # Other files in the folder (.ovr, .msk, .aux.xml) must not change the pixels.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(name, driver="GTiff") as data:
        if (data.height, data.width, data.count) != (*page.size, page.bands):
            found = f"{data.width}×{data.height} pixels, {counted(data.count, 'band')}"
            raise InvalidInput("the header is inconsistent", subject=path, found=Verbatim(found))
        values: NDArray[Any] = data.read(None if bands is None else list(bands))
    return np.moveaxis(values, 0, 2)


def require_rasterio(subject: object, what: str) -> Any:
    """Return the module rasterio.

    Args:
        what: what requires it.

    Raises:
        InvalidInput: it is not installed, or a library that it requires.
    """
    if find_spec("rasterio") is None:
        raise InvalidInput(f"{what} requires the extra geo", subject=subject, hint=f"Install it: {GEO}")
    try:
        return _rasterio()
    except ImportError as error:
        raise InvalidInput(
            f"{what} requires rasterio, which cannot be imported ({error})",
            subject=subject,
            hint="Install the missing library (libexpat.so.1 on Debian and Ubuntu: apt-get install libexpat1), or "
            f"rasterio again: {GEO}",
        ) from error


@cache
def _rasterio() -> Any:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    # Images without a georeference are the usual case here.
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    return rasterio
