"""Masks over their images, to look at: a PNG per image, or contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.export.export_items import Item, Masks, Options, Workshop, name_of, present, value_of
from wsss.export.naming import renamed
from wsss.io.files.atomic import explain_os_errors
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import image_size, read_image, write_png
from wsss.viz.drawing.legend import Entry, with_legend
from wsss.viz.drawing.lettering import UNKNOWN, drawable, font
from wsss.viz.drawing.overlay import fit_into, fitted, overlay, scaled
from wsss.viz.drawing.palette import class_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 240
TALLEST = 2 * CELL
"""A picture on a sheet is as wide as its column; one that would be higher than this is made narrower instead."""

GAP = 8
TEXT = 12
HEADING = TEXT + GAP // 2
MOST_SIDE, MOST_PIXELS = 60_000, 80_000_000
"""Of a page without its legend. A PDF holds JPEGs, which end at 65,500 pixels; more pixels than this `read_image`
refuses, and other readers take for an attack."""

DPI = 150
"""Of a PDF: a sheet of four columns is then 17 cm wide."""


def export_overlays(masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
    """Write ``NAME.png`` per image: the mask over the image, with the names of the classes it shows below.

    Images that are broken, or of another size than their masks, are left out.
    """

    def work(item: Item) -> None:
        picture, seen = _picture(masks, item, options)
        if options.legend:
            picture = with_legend(picture, _entries(masks, sorted(seen)))
        write_png(shop.folder / f"{item.name}.png", picture)

    shop.renamed.update(renamed([item for item, _ in shop.each(work, masks.items)]))
    return {}


def export_sheet(masks: Masks, options: Options, shop: Workshop) -> dict[str, Any]:
    """Write ``sheet-1.png``, ``sheet-2.png``, … or ``sheet.pdf``: small overlays in rows, with their names.

    A page has fewer rows than it may have where it would become larger than `MOST_SIDE` or `MOST_PIXELS`. Images that
    are broken, or of another size than their masks, have an empty place there.
    """
    heights = list(shop.each_quietly(lambda item: _cell_height(item, options), masks.items))
    readable = {item.id for item, _ in heights}
    for _ in shop.each(
        lambda item: _cell_height(item, options), [one for one in masks.items if one.id not in readable]
    ):
        pass  # notes why they can't be read
    masks = replace(masks, items=tuple(item for item, _ in heights))
    pages = paginate([height for _, height in heights], options.columns, options.rows)
    for number, (page, shown) in enumerate(zip(pages, _pages(masks, options, shop, pages), strict=True), start=1):
        if options.pages == "pdf":
            _add_page(shop.folder / "sheet.pdf", shown, first=page.start == 0, title=masks.name)
        else:
            write_png(shop.folder / f"sheet-{number:0{len(str(len(pages)))}}.png", shown)
    return {"pages": len(pages)}


@dataclass(frozen=True)
class PagePlan:
    """Which of the cells are on a page (``start`` up to ``stop``), and how high each of its rows is, in pixels."""

    start: int
    stop: int
    heights: tuple[int, ...]


def paginate(cells: Sequence[int], columns: int, rows: int) -> list[PagePlan]:
    """Deal cells out to rows and pages, in order.

    Args:
        cells: the height of each, pixels.
        columns, rows: of a page; it gets fewer rows where it would become larger than `MOST_SIDE` or `MOST_PIXELS`.
    """
    most = min(MOST_SIDE, MOST_PIXELS // _width(columns))
    pages: list[PagePlan] = []
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        last = pages[-1] if pages else None
        if last is not None and len(last.heights) < rows and _height((*last.heights, max(row))) <= most:
            pages[-1] = PagePlan(last.start, start + len(row), (*last.heights, max(row)))
        else:
            pages.append(PagePlan(start, start + len(row), (max(row),)))
    return pages


def _pages(masks: Masks, options: Options, shop: Workshop, pages: Sequence[PagePlan]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pages of a sheet, one after the other: there may be more of them than fit into memory."""

    def work(item: Item) -> tuple[NDArray[np.uint8], set[int]]:
        picture, seen = _picture(masks, item, options)
        return np.asarray(scaled(picture, CELL, TALLEST)), seen

    blank = np.full((1, 1, 3), 255, np.uint8)
    for page in pages:
        items = masks.items[page.start : page.stop]
        found = {item.id: cell for item, cell in shop.each(work, items)}
        seen = sorted(set().union(*(classes for _, classes in found.values())))
        cells = [
            (item.name, found[item.id][0]) if item.id in found else (f"{item.name}: can't be read", blank)
            for item in items
        ]
        sheet = _page(cells, options.columns, page.heights)
        yield with_legend(sheet, _entries(masks, seen)) if options.legend else sheet


def _cell_height(item: Item, options: Options) -> int:
    """Return how high an item's picture will be on a sheet; its mask is of the same size as its image."""
    height, width = image_size(item.mask)
    return fit_into((2 * width if options.side_by_side else width, height), CELL, TALLEST)[1]


def _width(columns: int) -> int:
    return GAP + columns * (CELL + GAP)


def _height(rows: Sequence[int]) -> int:
    return GAP + sum(HEADING + height + GAP for height in rows)


def _picture(masks: Masks, item: Item, options: Options) -> tuple[NDArray[np.uint8], set[int]]:
    """Return the overlay (beside the image where that is asked for), and the classes it shows."""
    assert item.image is not None
    mask, image = masks.read(item, options), read_image(item.image)
    laid = overlay(image, mask, class_colours(masks.classes), options.opacity, options.contours)
    seen = {*present(mask), *([IGNORE] if (mask == IGNORE).any() else [])}
    return (np.concatenate([image, laid], axis=1) if options.side_by_side else laid), seen


def _entries(masks: Masks, indices: Sequence[int]) -> list[Entry]:
    """Return the legend's entries, in the colours of the overlays; ignored pixels, hatched, are the last."""
    shown = [(int(red), int(green), int(blue)) for red, green, blue in class_colours(masks.classes)]
    return [(_name(masks, index), None if index == IGNORE else shown[index]) for index in indices]


def _name(masks: Masks, index: int) -> str:
    """Return a class's name for the legend; with its value where the name can't be told from others there."""
    name = name_of(masks.classes, index)
    return f"{value_of(masks.classes, index)} {name}" if drawable(name).count(UNKNOWN) > name.count(UNKNOWN) else name


def _page(cells: Sequence[tuple[str, NDArray[np.uint8]]], columns: int, heights: Sequence[int]) -> NDArray[np.uint8]:
    """Return small pictures in rows of these heights on white, each with its name above it."""
    from PIL import Image, ImageDraw

    letters = font(TEXT)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    sheet = Image.new("RGB", (_width(columns), _height(heights)), "white")
    draw: Any = ImageDraw.Draw(sheet)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, (name, picture) in enumerate(row):
            left = GAP + column * (CELL + GAP)
            draw.text((left, top), fitted(draw, name, letters, CELL), fill="black", font=letters)
            sheet.paste(Image.fromarray(picture), (left, top + HEADING))
        top += HEADING + height + GAP
    return np.asarray(sheet)


def _add_page(path: Path, page: NDArray[np.uint8], *, first: bool, title: str) -> None:
    """Begin a PDF with a page, or add one to it; without any date, so that the same pages give the same bytes."""
    from PIL import Image

    options: dict[str, Any] = {"append": True}
    if first:
        options = {"title": title, "creationDate": None, "modDate": None}
    with explain_os_errors(path):
        Image.fromarray(page).save(path, format="PDF", resolution=DPI, quality=90, **options)
