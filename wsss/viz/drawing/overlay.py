"""Mask overlays, and contact sheets with headings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import write_png
from wsss.io.rasters.working_size import scaled_size
from wsss.metrics.mask_uncertainty import boundary
from wsss.viz.drawing.lettering import drawable, font
from wsss.viz.drawing.palette import HATCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTOUR = (255, 255, 255)

BAND = 128
"""Rows drawn at a time; bounds the memory for large photographs."""


def mask_layer(mask: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a mask as a transparent layer for its image, with a white line along the inner border of each region.

    Args:
        mask: ``(H, W)`` class indices, 255 for ignored pixels.
        palette: ``(K + 1, 3)`` uint8, a colour per class; the background (``palette[0]``) is not drawn.

    Returns:
        ``(H, W, 4)`` uint8 RGBA: background transparent, classes opaque, ignored pixels hatched in two greys.
    """
    layer = np.zeros((*mask.shape, 4), np.uint8)
    for rows in _bands(len(mask)):
        _draw_rows(layer[rows], mask, palette, rows, _lines(mask, rows))
    return layer


def _draw_rows(
    layer: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    palette: NDArray[np.uint8],
    rows: slice,
    lines: NDArray[np.bool_] | None,
) -> None:
    """Draw some rows of a mask into a transparent layer with the same number of rows."""
    part = mask[rows]
    ignored = part == IGNORE
    drawn = (part > 0) & ~ignored
    layer[drawn, :3] = palette[part[drawn]]
    layer[drawn, 3] = 255
    if lines is not None:
        layer[lines] = (*CONTOUR, 255)
    if ignored.any():
        diagonals = np.add.outer(np.arange(rows.start, rows.stop), np.arange(mask.shape[1]))
        stripes = np.where((diagonals // 3 % 2 == 0)[..., None], HATCH[0], HATCH[1])
        layer[ignored, :3] = stripes[ignored]
        layer[ignored, 3] = 255


def _bands(height: int) -> Iterator[slice]:
    """Yield the rows of an image, `BAND` at a time."""
    for top in range(0, height, BAND):
        yield slice(top, min(top + BAND, height))


def _lines(mask: NDArray[np.uint8], rows: slice) -> NDArray[np.bool_]:
    """Return the contour pixels in some rows of a mask."""
    around = slice(max(0, rows.start - 1), rows.stop + 1)
    lines = boundary(mask[around])[rows.start - around.start :][: rows.stop - rows.start]
    return lines & (mask[rows] > 0) & (mask[rows] != IGNORE)


def overlay(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    palette: NDArray[np.uint8],
    opacity: float = 0.6,
    contours: bool = True,
) -> NDArray[np.uint8]:
    """Blend a mask over its image.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        mask: ``(H, W)`` class indices, 255 for ignored pixels.
        palette: ``(K + 1, 3)`` uint8, a colour per class.
        opacity: opacity of the class colours, in [0, 1]; contours are opaque.
        contours: draw the borders of the regions.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    mixed = np.empty(image.shape, np.uint8)
    for rows in _bands(len(mask)):
        lines = _lines(mask, rows) if contours else None
        layer = np.zeros((*mask[rows].shape, 4), np.uint8)
        _draw_rows(layer, mask, palette, rows, lines)
        alpha = layer[..., 3:] / 255 * opacity
        if lines is not None:
            alpha[lines] = 1
        mixed[rows] = (image[rows] * (1 - alpha) + layer[..., :3] * alpha).round()
    return mixed


def contact_sheet(
    rows: Sequence[Sequence[NDArray[np.uint8]]],
    titles: Sequence[str],
    path: Path,
    *,
    width: int = 240,
    gap: int = 8,
    font_size: int | None = None,
) -> None:
    """Write rows of images side by side under column headings, as one PNG on white.

    Args:
        rows: per row one ``(H, W, 3)`` uint8 RGB image per column; each is scaled to ``width``; the highest one
            determines the height of the row.
        titles: one heading per column, drawn in Pillow's own font.
        path: the PNG to write (atomically; equal pixels give equal bytes).
        width: width of a column in pixels.
        gap: space between images and around the sheet, in pixels.
        font_size: font size of the headings in pixels; by default ``width / 15``, at least 12.

    Raises:
        ValueError: the number of images in a row differs from the number of titles.
    """
    from PIL import Image, ImageDraw

    for index, row in enumerate(rows):
        if len(row) != len(titles):
            raise ValueError(f"row {index}: expected {len(titles)} images, one per title, got {len(row)}")
    pictures = [[scaled(image, width) for image in row] for row in rows]
    font_size = font_size or max(12, width // 15)
    letters = font(font_size)
    heading = font_size + gap
    heights = [max(image.height for image in row) for row in pictures if row]
    total = (gap + len(titles) * (width + gap), gap + heading + sum(height + gap for height in heights))
    sheet = Image.new("RGB", total, "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        left = gap + column * (width + gap)
        draw.text((left, gap), fitted(draw, title, letters, width), fill="black", font=letters)
        top = gap + heading
        for row, height in zip(pictures, heights, strict=True):
            sheet.paste(row[column], (left, top))
            top += height + gap
    write_png(path, np.asarray(sheet))


def scaled(image: NDArray[np.uint8], width: int, height: int | None = None) -> Any:
    """Resize an ``(H, W, 3)`` uint8 image to the size given by `fit_into`; returns a Pillow image."""
    from PIL import Image

    picture = Image.fromarray(image)
    size = fit_into((picture.width, picture.height), width, height)
    return picture.resize(size, Image.Resampling.LANCZOS)


def fit_into(size: tuple[int, int], width: int, height: int | None = None) -> tuple[int, int]:
    """Return ``(width, height)`` of a picture scaled to a width, or less if its height would exceed the limit.

    Args:
        size: width and height of the picture, pixels.
        width: target width.
        height: maximum height; ``None`` for no limit.
    """
    factor = width / size[0] if height is None else min(width / size[0], height / size[1])
    return scaled_size(size, factor)


def fitted(draw: Any, text: str, letters: Any, width: int) -> str:
    """Return a heading in drawable characters, truncated with an ellipsis to at most ``width`` pixels."""
    text = shown = drawable(text)
    while draw.textlength(shown, font=letters) > width and len(shown) > 1:
        text = text[:-1]
        shown = text.rstrip() + "…"
    return shown
