"""Contact sheets of images of any shape have pages of a valid size."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsss.data.classes import Classes
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Item, Masks, Options
from wsss.export.write_pictures import MAX_HEIGHT, MAX_PIXELS, MAX_SIDE, paginate
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png

CLASSES = Classes(("background", "thing"), ((0,), (1,)))


def masks_of(folder: Path, *sizes: tuple[int, int]) -> Masks:
    """A grey image and a mask of each size (width, height)."""
    items = []
    for number, (width, height) in enumerate(sizes):
        mask, image = folder / f"{number}.png", folder / f"image-{number}.png"
        write_mask(mask, np.ones((height, width), np.uint8))
        write_png(image, np.full((height, width, 3), 90, np.uint8))
        items.append(Item(str(number), mask, image))
    return Masks("made", CLASSES, tuple(items))


def sizes_of(folder: Path) -> list[tuple[int, int]]:
    return [Image.open(path).size for path in sorted(folder.glob("*.png"))]


@pytest.mark.parametrize("size", [(1, 300), (3, 60_000), (60, 4000), (60_000, 3)])
@pytest.mark.parametrize("pages", ["png", "pdf"])
@pytest.mark.slow
def test_elongated_images_are_fitted_into_their_cells(tmp_path: Path, size: tuple[int, int], pages: str) -> None:
    masks = masks_of(tmp_path / "in", *[size] * 5, (40, 30))
    tracemalloc.start()
    export_masks(masks, "sheet", Options(pages=pages), tmp_path / "out")  # type: ignore[arg-type]
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    assert all(width == 1000 and height < 2 * MAX_HEIGHT + 120 for width, height in sizes_of(tmp_path / "out"))


def test_very_narrow_images_do_not_fill_their_column(tmp_path: Path) -> None:
    options = Options(columns=1, legend=False, contours=False, opacity=0)
    for size, width, height in (((30, 40), 240, 320), ((10, 4000), 1, 480), ((100, 200), 240, 480)):
        export_masks(masks_of(tmp_path / f"in{size}", size), "sheet", options, tmp_path / f"{size}")
        page = np.asarray(Image.open(tmp_path / f"{size}" / "sheet-1.png"))
        grey = (page[24:] == 90).all(-1)
        assert page.shape == (8 + 16 + height + 8, 256, 3)
        assert grey.any(0).sum() == width and grey.any(1).sum() == height
        assert grey[:, 8 : 8 + width].any()


def test_rows_that_exceed_a_page_go_to_the_next(tmp_path: Path) -> None:
    masks = masks_of(tmp_path / "in", (30, 40))
    masks = Masks(
        "made", CLASSES, tuple(Item(str(one), masks.items[0].mask, masks.items[0].image) for one in range(200))
    )
    options = Options(columns=1, rows=200, pages="pdf")
    assert export_masks(masks, "sheet", options, tmp_path / "out", workers=2)["pages"] == 2


@given(
    st.lists(st.integers(1, MAX_HEIGHT), min_size=1, max_size=400), st.integers(1, 50), st.sampled_from([1, 2, 6, 200])
)
def test_each_cell_is_on_one_page_and_no_page_is_too_large(cells: list[int], columns: int, rows: int) -> None:
    pages = paginate(cells * 30, columns, rows)
    assert [page.start for page in pages] == [0, *(page.stop for page in pages[:-1])] and pages[-1].stop == 30 * len(
        cells
    )
    for page in pages:
        width, height = 8 + columns * 248, 8 + sum(16 + height + 8 for height in page.heights)
        assert height <= MAX_SIDE and width * height <= MAX_PIXELS
        assert len(page.heights) == -(-(page.stop - page.start) // columns) <= rows
    for page, following in pairwise(pages):
        assert page.heights and (page.stop - page.start) % columns == 0
        height = 8 + sum(24 + one for one in (*page.heights, following.heights[0]))
        assert len(page.heights) == rows or height > MAX_SIDE or height * (8 + columns * 248) > MAX_PIXELS


@pytest.mark.parametrize("format_name", ["overlay", "sheet"])
def test_the_legend_shows_the_value_of_a_class_whose_name_cannot_be_drawn(tmp_path: Path, format_name: str) -> None:
    made = masks_of(tmp_path / "in", (40, 30))
    pictures = []
    for name in ("кот", "собака", "1 ???"):
        masks = Masks("made", Classes(("background", name), ((0,), (1,))), made.items)
        export_masks(masks, format_name, Options(), tmp_path / name)
        pictures.append(next((tmp_path / name).glob("*.png")).read_bytes())
    assert pictures[0] == pictures[2] != pictures[1]
