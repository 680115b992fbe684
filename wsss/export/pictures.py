"""Masks over their images, to look at: a PNG per image, or contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.export.items import Item, Masks, Options, Workshop, name_of, present, require_images
from wsss.io.atomic import explain_os_errors
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
    total = -(-len(masks.items) // (options.columns * options.rows))
    for number, page in enumerate(_pages(masks, options, shop), start=1):
        if options.pages == "pdf":
            _add_page(shop.folder / "sheet.pdf", page, first=number == 1, title=masks.name)
        else:
            write_png(shop.folder / f"sheet-{number:0{len(str(total))}}.png", page)
    return {"pages": total}


def _pages(masks: Masks, options: Options, shop: Workshop) -> Iterator[NDArray[np.uint8]]:
    """Yield the pages of a sheet, one after the other: there may be more of them than fit into memory."""

    def work(item: Item) -> tuple[str, NDArray[np.uint8], set[int]]:
        picture, seen = _picture(masks, item, options)
        return item.id, np.asarray(scaled(picture, CELL)), seen

    count = options.columns * options.rows
    for start in range(0, len(masks.items), count):
        cells = list(shop.each(work, masks.items[start : start + count]))
        seen = sorted(set().union(*(classes for _, _, classes in cells)))
        page = _page([(name, picture) for name, picture, _ in cells], options.columns)
        yield with_legend(page, _entries(masks, seen)) if options.legend else page


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
    """Return the legend's entries, in the colours of the overlays; ignored pixels, hatched, are the last."""
    shown = [(int(red), int(green), int(blue)) for red, green, blue in class_colours(masks.classes)]
    return [(name_of(masks.classes, index), None if index == IGNORE else shown[index]) for index in indices]


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


def _add_page(path: Path, page: NDArray[np.uint8], *, first: bool, title: str) -> None:
    """Begin a PDF with a page, or add one to it; without any date, so that the same pages give the same bytes."""
    from PIL import Image

    options: dict[str, Any] = {"append": True}
    if first:
        options = {"title": title, "creationDate": None, "modDate": None}
    with explain_os_errors(path):
        Image.fromarray(page).save(path, format="PDF", resolution=DPI, quality=90, **options)
