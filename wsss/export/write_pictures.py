"""Export of overlays (masks drawn over their images): a PNG per image, or contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.export.export_items import Item, Masks, Options, Output, name_of, present, value_of
from wsss.export.naming import renamed
from wsss.io.files.atomic import convert_os_errors
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import image_size, read_image, write_png
from wsss.viz.drawing.legend import Entry, with_legend
from wsss.viz.drawing.lettering import UNKNOWN, drawable, font
from wsss.viz.drawing.overlay import fit_into, fitted, overlay, scaled
from wsss.viz.drawing.palette import class_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 240
MAX_HEIGHT = 2 * CELL
"""Maximum height of a picture on a sheet. Pictures fill the width of their column unless they would exceed it."""

GAP = 8
TEXT = 12
HEADING = TEXT + GAP // 2
MAX_SIDE, MAX_PIXELS = 60_000, 80_000_000
"""Maximum side and area of a page without its legend, in pixels. JPEGs in a PDF are limited to 65,500 pixels per side,
and image readers reject larger areas as decompression bombs."""

DPI = 150
"""Resolution of the PDF, at which a sheet with four columns is 17 cm wide."""


def export_overlays(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``NAME.png`` per image: the overlay above a legend of its classes.

    Images that are broken or differ in size from their masks are skipped.
    """

    def work(item: Item) -> None:
        picture, shown = _picture(masks, item, options)
        if options.legend:
            picture = with_legend(picture, _entries(masks, sorted(shown)))
        write_png(output.folder / f"{item.name}.png", picture)

    output.renamed.update(renamed([item for item, _ in output.each(work, masks.items)]))
    return {}


def export_sheet(masks: Masks, options: Options, output: Output) -> dict[str, Any]:
    """Write ``sheet-1.png``, ``sheet-2.png``, … or ``sheet.pdf``: small overlays with their names, in rows.

    Pages that would exceed `MAX_SIDE` or `MAX_PIXELS` have fewer rows. Images that are broken or differ in size from
    their masks leave their cells empty.
    """
    heights = list(output.each_silently(lambda item: _cell_height(item, options), masks.items))
    readable = {item.id for item, _ in heights}
    unreadable = [item for item in masks.items if item.id not in readable]
    list(output.each(lambda item: _cell_height(item, options), unreadable))  # records the errors
    masks = replace(masks, items=tuple(item for item, _ in heights))
    pages = paginate([height for _, height in heights], options.columns, options.rows)
    for number, (plan, page) in enumerate(zip(pages, _pages(masks, options, output, pages), strict=True), start=1):
        if options.pages == "pdf":
            _add_page(output.folder / "sheet.pdf", page, first=plan.start == 0, title=masks.name)
        else:
            write_png(output.folder / f"sheet-{number:0{len(str(len(pages)))}}.png", page)
    return {"pages": len(pages)}


@dataclass(frozen=True)
class PagePlan:
    """Cells of a page (``start`` to ``stop`` − 1), and the heights of its rows in pixels."""

    start: int
    stop: int
    heights: tuple[int, ...]


def paginate(cells: Sequence[int], columns: int, rows: int) -> list[PagePlan]:
    """Distribute cells over rows and pages, in order.

    Args:
        cells: heights of the cells in pixels.
        columns: number of columns per page.
        rows: maximum number of rows per page; fewer if the page would exceed `MAX_SIDE` or `MAX_PIXELS`.
    """
    max_height = min(MAX_SIDE, MAX_PIXELS // _width(columns))
    pages: list[PagePlan] = []
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        last = pages[-1] if pages else None
        if last is not None and len(last.heights) < rows and _height((*last.heights, max(row))) <= max_height:
            pages[-1] = PagePlan(last.start, start + len(row), (*last.heights, max(row)))
        else:
            pages.append(PagePlan(start, start + len(row), (max(row),)))
    return pages


def _pages(masks: Masks, options: Options, output: Output, pages: Sequence[PagePlan]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pages of a sheet one by one, to save memory."""

    def work(item: Item) -> tuple[NDArray[np.uint8], set[int]]:
        picture, shown = _picture(masks, item, options)
        return np.asarray(scaled(picture, CELL, MAX_HEIGHT)), shown

    blank = np.full((1, 1, 3), 255, np.uint8)
    for page in pages:
        items = masks.items[page.start : page.stop]
        pictures = {item.id: picture for item, picture in output.each(work, items)}
        shown = sorted(set().union(*(classes for _, classes in pictures.values())))
        cells = [
            (item.name, pictures[item.id][0]) if item.id in pictures else (f"{item.name}: can't be read", blank)
            for item in items
        ]
        sheet = _page(cells, options.columns, page.heights)
        yield with_legend(sheet, _entries(masks, shown)) if options.legend else sheet


def _cell_height(item: Item, options: Options) -> int:
    """Return the height of an item's picture on a sheet, from the size of its mask."""
    height, width = image_size(item.mask)
    return fit_into((2 * width if options.side_by_side else width, height), CELL, MAX_HEIGHT)[1]


def _width(columns: int) -> int:
    return GAP + columns * (CELL + GAP)


def _height(rows: Sequence[int]) -> int:
    return GAP + sum(HEADING + height + GAP for height in rows)


def _picture(masks: Masks, item: Item, options: Options) -> tuple[NDArray[np.uint8], set[int]]:
    """Return the overlay (for ``side_by_side`` to the right of the image), and the classes in it."""
    assert item.image is not None
    mask, image = masks.read(item, options), read_image(item.image, item.reading)
    picture = overlay(image, mask, class_colours(masks.classes), options.opacity, options.contours)
    shown = {*present(mask), *([IGNORE] if (mask == IGNORE).any() else [])}
    return (np.concatenate([image, picture], axis=1) if options.side_by_side else picture), shown


def _entries(masks: Masks, indices: Sequence[int]) -> list[Entry]:
    """Return the legend entries, in the colours of the overlays; ignored pixels are hatched."""
    colours = [(int(red), int(green), int(blue)) for red, green, blue in class_colours(masks.classes)]
    return [(_name(masks, index), None if index == IGNORE else colours[index]) for index in indices]


def _name(masks: Masks, index: int) -> str:
    """Return the name of a class for the legend, preceded by its value if the font lacks characters of the name."""
    name = name_of(masks.classes, index)
    return f"{value_of(masks.classes, index)} {name}" if drawable(name).count(UNKNOWN) > name.count(UNKNOWN) else name


def _page(cells: Sequence[tuple[str, NDArray[np.uint8]]], columns: int, heights: Sequence[int]) -> NDArray[np.uint8]:
    """Return a page of small pictures, each below its name, in rows of the given heights."""
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
    """Start a PDF with a page, or append a page; dates are omitted to make the file reproducible."""
    from PIL import Image

    options: dict[str, Any] = {"append": True}
    if first:
        options = {"title": title, "creationDate": None, "modDate": None}
    with convert_os_errors(path):
        Image.fromarray(page).save(path, format="PDF", resolution=DPI, quality=90, **options)
