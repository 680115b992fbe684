"""Conversion of stored values to 8-bit RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, Verbatim, counted
from wsss.io.rasters.samples.reading import Reading, Scaling
from wsss.io.rasters.samples.stored_pages import WHITE_IS_ZERO, StoredPage

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 256
"""Rows scaled at a time: 64-bit numbers take much memory."""

SCALING_HINT = (
    "Set data.scaling to the values that become black and white, [LOW, HIGH]{full}. Options: wsss init "
    "--scaling …, wsss predict --set scaling=…"
)
FULL = ", or to full (0, 65535)"
BANDS_HINT = "Set data.bands to the bands for red, green and blue, from 1, such as [3, 2, 1], or to a single one."


def rgb_of(samples: NDArray[Any], page: StoredPage, reading: Reading, where: object) -> NDArray[np.uint8]:
    """Return stored values as 8-bit RGB; transparent pixels are composed onto white.

    Args:
        samples: ``(H, W, C)``: the bands of ``reading``, or all bands of the page.
        page: header of the page.
        reading: scaling and bands.
        where: subject of errors.

    Returns:
        ``(H, W, 3)``.

    Raises:
        InvalidInput: the values require a scaling, or the bands a choice.
    """
    alpha = page.alpha and reading.bands is None
    colours = samples[..., : samples.shape[2] - alpha]
    if colours.shape[2] not in (1, 3):
        allowed = "1 or 3 bands, with or without alpha"
        found = Verbatim(counted(page.bands, "band"))
        raise InvalidInput("ambiguous colours", subject=where, allowed=allowed, found=found, hint=BANDS_HINT)
    pixels = eight_bits(colours, reading.scaling, page, where)
    if page.deep and page.photometric == WHITE_IS_ZERO:
        pixels = 255 - pixels
    rgb = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)
    return _on_white(rgb, eight_bits(samples[..., -1:], "full", page, where)) if alpha else rgb


def eight_bits(values: NDArray[Any], scaling: Scaling | None, page: StoredPage, where: object) -> NDArray[np.uint8]:
    """Scale values to 0 … 255, rounded; values outside the range are clipped, and NaN becomes 0.

    Values of less than 8 bits are scaled by their full range, as Pillow does.

    Raises:
        InvalidInput: no scaling; or ``full`` for values other than unsigned ones with at most 16 bits.
    """
    if not page.deep:
        white = 2**page.bits - 1
        return values.astype(np.uint8) if white == 255 else _scaled(values, 0, white)
    full = page.kind == "uint" and page.bits <= 16
    if scaling is None or (scaling == "full" and not full):
        raise InvalidInput(
            f"{page.depth} pixels have no defined range" + (" (data.scaling: full)" if scaling else ""),
            subject=where,
            found=Verbatim(f"values {_extent(values)}"),
            hint=SCALING_HINT.format(full=FULL if full else ""),
        )
    low, high = (0.0, float(2**page.bits - 1)) if scaling == "full" else scaling
    if full:
        table = _scaled(np.arange(2**page.bits), low, high)
        return np.asarray(table[values], np.uint8)
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


def _on_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    rgba = Image.fromarray(np.concatenate([rgb, alpha], axis=2))
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
