"""Conversion of stored values to 8-bit RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, Verbatim, counted
from wsss.io.rasters.pixel_values.reading import Reading, Scaling
from wsss.io.rasters.pixel_values.stored_pages import COMPLEX, WHITE_IS_ZERO, StoredPage

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 256
"""Rows scaled at a time: 64-bit numbers take much memory."""

SCALING_HINT = (
    "Set data.scaling to the values that become black and white, [LOW, HIGH]{full}. Options: wsss init "
    "--scaling …, wsss predict --set scaling=…"
)
FULL = ", or to full (0, {white})"
ALPHA_HINT = "Set data.bands to the bands without the transparency, such as {bands}; it is then ignored."
BANDS_HINT = (
    "Set data.bands to the bands for red, green and blue, from 1, such as [3, 2, 1], or to a single one. Options: wsss "
    "init --bands …, wsss predict --bands …"
)


def rgb_of(values: NDArray[Any], page: StoredPage, reading: Reading, where: object) -> NDArray[np.uint8]:
    """Return stored values as 8-bit RGB; transparent pixels are composited onto white.

    Args:
        values: ``(H, W, C)``: the bands of ``reading``, or all bands of the page.
        page: header of the page.
        reading: scaling and bands.

    Returns:
        ``(H, W, 3)``.

    Raises:
        InvalidInput: the values require a scaling, or the bands a choice, or the transparency cannot be interpreted.
    """
    alpha = page.alpha and reading.bands is None
    colours = values[..., : values.shape[2] - alpha]
    if colours.shape[2] not in (1, 3):
        allowed = "1 or 3 bands, with or without alpha"
        found = Verbatim(counted(page.bands, "band"))
        raise InvalidInput("ambiguous colours", subject=where, allowed=allowed, found=found, hint=BANDS_HINT)
    pixels = eight_bits(colours, reading.scaling, page, where)
    if page.deep and page.photometric == WHITE_IS_ZERO:
        pixels = 255 - pixels
    rgb = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)
    return _on_white(rgb, values[..., -1:], page, reading, where) if alpha else rgb


def eight_bits(values: NDArray[Any], scaling: Scaling | None, page: StoredPage, where: object) -> NDArray[np.uint8]:
    """Scale values to 0 … 255, rounded; values outside the range are clipped, and NaN becomes 0.

    Values of less than 8 bits are scaled by their full range, as Pillow does.

    Raises:
        InvalidInput: no scaling; ``full`` for values other than unsigned ones with at most 16 bits; or complex values.
    """
    if page.kind == COMPLEX:
        raise InvalidInput(
            "complex values, as in radar images, are not supported",
            subject=where,
            allowed="real values",
            found=Verbatim(page.depth),
            hint="Convert the images to amplitudes or intensities first.",
        )
    if not page.deep:
        white = 2**page.bits - 1
        return values.astype(np.uint8) if white == 255 else _in_rows(values, 0, white)
    full = page.kind == "uint" and page.bits <= 16
    if scaling is None or (scaling == "full" and not full):
        raise InvalidInput(
            f"{page.depth} pixels have no defined range" + (" (data.scaling: full)" if scaling else ""),
            subject=where,
            found=Verbatim(f"values {_extent(values)}"),
            hint=SCALING_HINT.format(full=FULL.format(white=2**page.bits - 1) if full else ""),
        )
    low, high = (0.0, float(2**page.bits - 1)) if scaling == "full" else scaling
    if full:
        table = _scaled(np.arange(2**page.bits), low, high)
        return np.asarray(table[values], np.uint8)
    return _in_rows(values, low, high)


def _in_rows(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    result = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), ROWS):
        result[top : top + ROWS] = _scaled(values[top : top + ROWS], low, high)
    return result


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    share = np.nan_to_num((values.astype(np.float64) - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    return np.floor(share.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _extent(values: NDArray[Any]) -> str:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return f"{finite.min():g} … {finite.max():g}" if finite.size else "none"


def _on_white(
    rgb: NDArray[np.uint8], alpha: NDArray[Any], page: StoredPage, reading: Reading, where: object
) -> NDArray[np.uint8]:
    """Composite onto white: c·α + 1 − α, or c + 1 − α if c was multiplied by α before.

    Raises:
        InvalidInput: see `_transparency`; or the scaling or photometry of premultiplied colours is not linear.
    """
    from PIL import Image

    opacity = _transparency(alpha, page, where)
    if not page.premultiplied:
        rgba = Image.fromarray(np.concatenate([rgb, opacity], axis=2))
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    if page.photometric == WHITE_IS_ZERO or (isinstance(reading.scaling, tuple) and reading.scaling[0] != 0):
        raise InvalidInput(
            "colours multiplied by their transparency (associated alpha) cannot be scaled",
            subject=where,
            allowed="data.scaling: full or [0, HIGH], and an image in which 0 is black",
            found=reading.scaling,
            hint=_alpha_hint(page),
        )
    return np.where(rgb > opacity, np.uint8(255), rgb + (255 - opacity))


def _transparency(alpha: NDArray[Any], page: StoredPage, where: object) -> NDArray[np.uint8]:
    """Scale alpha, whose range does not depend on ``data.scaling``: the full one of integers, 0 … 1 of floats.

    Raises:
        InvalidInput: alpha of signed or 32-bit integers.
    """
    if page.kind == "float":
        return _in_rows(alpha, 0, 1)
    if page.kind == "uint" and page.bits <= 16:
        return eight_bits(alpha, "full", page, where)
    raise InvalidInput(
        f"alpha (band {page.bands}) of {page.depth} values has no defined range",
        subject=where,
        allowed="unsigned values of at most 16 bits, or floating-point values from 0 to 1",
        found=Verbatim(f"values {_extent(alpha)}"),
        hint=_alpha_hint(page),
    )


def _alpha_hint(page: StoredPage) -> str:
    return ALPHA_HINT.format(bands=list(range(1, page.bands)))
