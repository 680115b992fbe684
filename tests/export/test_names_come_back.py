"""Exports of images with unusual names, imported again: every mask comes back for its own image."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wsss.data.classes import Classes
from wsss.data.corrections.correction_folder import open_corrections
from wsss.data.corrections.drawing_rules import DrawingRules
from wsss.data.corrections.import_masks import ImportOptions, import_masks
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Item, Masks, Options
from wsss.io.files.stage_files import RECORD
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png

SIZE = (5, 12)
FORMATS = ("voc", "coco", "cvat", "label-studio", "polygons")

NAMES: dict[str, dict[str, str]] = {
    "list": {"#1.png": "#1", " a.png": " a", "b .png": "b ", "_1.png": "_1", "t/#2.png": "t__#2"},
    "long": {"ü" * 123 + "abcd.png": "long", "b.png": "b"},
    "backslash": {"a\\b.png": "a_b", "c.png": "c"},
    "Unicode": {unicodedata.normalize("NFD", "é.png"): "e", unicodedata.normalize("NFC", "ü.png"): "ü"},
    "folders": {"t/1.png": "t__1", "u/1.png": "u__1"},
    "suffixes": {"a.png": "a_png", "a.jpg": "a_jpg"},
    "two suffixes": {"scan.jpg.png": "scan_jpg", "scan.png": "scan"},
    "numbers": {"1.png": "1", "01.png": "01", "img_1.png": "img_1"},
    "URLs": {"100%.png": "100%", "a%20b.png": "a%20b", "a b.png": "a b", "0123abcd-x.png": "0123abcd-x", "x.png": "x"},
}


def made(files: Mapping[str, str], folder: Path) -> tuple[Masks, Dataset]:
    """Return the masks and the dataset of images: file below the folder of images → id."""
    classes = Classes(("background", "cat"), ((0,), (3,)))
    samples, items = [], []
    for number, (file, id) in enumerate(files.items()):
        write_png(folder / "images" / file, np.full((*SIZE, 3), number, np.uint8))
        path = folder / "in" / f"{number}.png"
        write_mask(path, mask_of(number) * 3)
        samples.append(Sample(id, folder / "images" / file, mask=path))
        items.append(Item(id, path, folder / "images" / file, ("train",), file=file))
    data = Dataset("made", folder, classes, {"train": tuple(samples)}, image_root=folder / "images")
    return Masks("made", classes, tuple(items)), data


def mask_of(number: int) -> NDArray[np.uint8]:
    mask = np.zeros(SIZE, np.uint8)
    mask[1, 2 * number] = 1
    return mask


def comes_back(source: Path, data: Dataset, out: Path) -> bool:
    """Return whether the import of a source has every mask at its image."""
    options = ImportOptions(rules=DrawingRules(empty="background"))
    corrections = import_masks(source, data, out, options).corrections
    expected = {sample.id: mask_of(number) for number, sample in enumerate(data.splits["train"])}
    assert corrections.images.keys() == expected.keys()
    read = {id: open_corrections(out, data.classes).read(id, SIZE) for id in expected}
    return all(np.array_equal(read[id], mask) for id, mask in expected.items())


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("kind", NAMES)
def test_every_mask_comes_back_for_its_image(kind: str, format_name: str, tmp_path: Path) -> None:
    masks, data = made(NAMES[kind], tmp_path)
    export_masks(masks, format_name, Options(role="annotations"), tmp_path / "o")
    source = next((tmp_path / "o").glob("*.zip"), tmp_path / "o")
    assert comes_back(source, data, tmp_path / "c")


@pytest.mark.parametrize("format_name", ["coco", "label-studio", "polygons"])
def test_formats_that_state_ids_or_files_are_unambiguous(format_name: str, tmp_path: Path) -> None:
    masks, data = made({"1.png": "2", "2.png": "1"}, tmp_path)
    export_masks(masks, format_name, Options(role="annotations"), tmp_path / "o")
    assert comes_back(tmp_path / "o", data, tmp_path / "c")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_names_that_are_ids_and_files_of_different_images(suffix: str, tmp_path: Path) -> None:
    """The name of a mask may be either, except in the folder of a stage: its suffix is not that of the image."""
    masks, data = made({f"1{suffix}": "2", f"2{suffix}": "1"}, tmp_path)
    for format_name in ("voc", "cvat"):
        out = tmp_path / format_name
        export_masks(masks, format_name, Options(role="annotations"), out)
        with pytest.raises(InvalidInput, match="matches several images: 1, 2"):
            import_masks(next(out.glob("*.zip"), out), data, tmp_path / "c")
    for number, item in enumerate(masks.items):
        write_mask(tmp_path / "stage" / "masks" / f"{item.id}.png", mask_of(number) * 3)
    with pytest.raises(InvalidInput, match="matches several images"):
        import_masks(tmp_path / "stage", data, tmp_path / "c")
    (tmp_path / "stage" / RECORD).write_text("{}")
    assert comes_back(tmp_path / "stage", data, tmp_path / "c")
    assert comes_back(tmp_path / "c", data, tmp_path / "again")
    assert comes_back(tmp_path / "c" / "masks", data, tmp_path / "once more")


def test_the_mask_of_one_of_two_images_of_a_name(tmp_path: Path) -> None:
    """A mask ``a.png`` may be of the image of this name, or of the one with the id ``a``; ``c`` is not an id."""
    _, data = made({"a.jpg": "a", "a.png": "b", "c.png": "d"}, tmp_path)
    write_mask(tmp_path / "m" / "a.png", mask_of(0) * 3)
    with pytest.raises(InvalidInput, match="matches several images: a, b"):
        import_masks(tmp_path / "m", data, tmp_path / "c")
    (tmp_path / "m" / "a.png").rename(tmp_path / "m" / "c.png")
    assert import_masks(tmp_path / "m", data, tmp_path / "c").ids == ("d",)
