"""Masks over their images, to look at: a PNG per image, or contact sheets."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.export.items import Item, Masks, Options, Workshop, colours, name_of, present, require_images, value_of
from wsss.io.atomic import write_bytes
from wsss.io.images import read_image, write_png
from wsss.io.masks import IGNORE
from wsss.viz.legend import Entry, with_legend
from wsss.viz.overlay import fitted, overlay, scaled
from wsss.viz.palette import class_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 240
GAP = 8
DPI = 150
"""Of a PDF: a sheet of four columns is then 17 cm wide."""


def export_overlays(masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
    """Write ``ID.png`` per image: the mask over the image, with the names of the classes it shows below.

    Raises:
        InvalidInput: an image is not known, broken, or of another size than its mask.
    """
    require_images(masks, "overlay")

    def work(item: Item) -> None:
        picture, seen = _picture(masks, item, options)
        if options.legend:
            picture = with_legend(picture, _entries(masks, sorted(seen)))
        write_png(shop.folder / f"{item.id}.png", picture)

    for _ in shop.each(work, masks.items):
        pass
    return {}


def export_sheet(masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
    """Write ``sheet-1.png``, ``sheet-2.png``, … or ``sheet.pdf``: small overlays in rows, with their ids.

    Raises:
        InvalidInput: as `export_overlays`.
    """
    require_images(masks, "sheet")

    def work(item: Item) -> tuple[str, NDArray[np.uint8], set[int]]:
        picture, seen = _picture(masks, item, options)
        return item.id, np.asarray(scaled(picture, CELL)), seen

    cells, seen = [], set()
    for name, picture, classes in shop.each(work, masks.items):
        cells.append((name, picture))
        seen |= classes
    count = options.columns * options.rows
    entries = _entries(masks, sorted(seen)) if options.legend else []
    pages = [
        with_legend(_page(cells[start : start + count], options.columns), entries)
        for start in range(0, len(cells), count)
    ]
    if options.pages == "pdf":
        write_bytes(shop.folder / "sheet.pdf", _pdf(pages, masks.name))
    else:
        digits = len(str(len(pages)))
        for number, page in enumerate(pages, start=1):
            write_png(shop.folder / f"sheet-{number:0{digits}}.png", page)
    return {"pages": len(pages)}


def _picture(masks: Masks, item: Item, options: Options) -> tuple[NDArray[np.uint8], set[int]]:
    """Return the overlay (beside the image where that is asked for), and the classes it shows."""
    assert item.image is not None
    mask, image = masks.read(item, options), read_image(item.image)
    if image.shape[:2] != mask.shape:
        raise InvalidInput(
            f"{item.mask}: the mask is {mask.shape[1]}×{mask.shape[0]} (width×height), its image "
            f"{image.shape[1]}×{image.shape[0]}; they must be of one size."
        )
    laid = overlay(image, mask, class_colours(masks.classes), options.opacity, options.contours)
    seen = {*present(mask), *([IGNORE] if (mask == IGNORE).any() else [])}
    return (np.concatenate([image, laid], axis=1) if options.side_by_side else laid), seen


def _entries(masks: Masks, indices: Sequence[int]) -> list[Entry]:
    """Return the legend's entries; ignored pixels, hatched, are the last."""
    values = colours(value_of(masks.classes, index) for index in indices)
    return [
        (name_of(masks.classes, index), None if index == IGNORE else colour)
        for index, colour in zip(indices, values, strict=True)
    ]


def _page(cells: Sequence[tuple[str, NDArray[np.uint8]]], columns: int) -> NDArray[np.uint8]:
    """Return small pictures in rows on white, each with its name above it; a row is as high as its highest picture."""
    from PIL import Image, ImageDraw, ImageFont

    font: Any = ImageFont.load_default(size=12)
    heading = 12 + GAP // 2
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(picture.shape[0] for _, picture in row) for row in rows]
    size = GAP + columns * (CELL + GAP), GAP + sum(heading + height + GAP for height in heights)
    sheet = Image.new("RGB", size, "white")
    draw: Any = ImageDraw.Draw(sheet)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, (name, picture) in enumerate(row):
            left = GAP + column * (CELL + GAP)
            draw.text((left, top), fitted(draw, name, font, CELL), fill="black", font=font)
            sheet.paste(Image.fromarray(picture), (left, top + heading))
        top += heading + height + GAP
    return np.asarray(sheet)


def _pdf(pages: Sequence[NDArray[np.uint8]], title: str) -> bytes:
    """Return pages as a PDF without any date, so that the same pages give the same bytes."""
    from PIL import Image

    first, *others = [Image.fromarray(page) for page in pages]
    buffer = io.BytesIO()
    undated: dict[str, Any] = {"creationDate": None, "modDate": None}
    first.save(
        buffer, format="PDF", save_all=True, append_images=others, resolution=DPI, quality=90, title=title, **undated
    )
    return buffer.getvalue()
