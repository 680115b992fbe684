"""Exports in every format, read by independent readers, reproduce the masks exactly."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from exported import truth, values
from numpy.typing import NDArray
from PIL import Image
from readers import coco_masks, cvat_masks, label_studio_masks, polygon_mask, voc_labelmap
from scipy.ndimage import label

from wsss.data.readers.registry import open_dataset
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Masks, Options, objects
from wsss.io.rasters.label_masks import read_mask
from wsss.viz.drawing.palette import class_colours


def same(actual: dict[str, NDArray[np.uint8]], masks: Masks) -> None:
    expected = truth(masks)
    assert list(actual) == list(expected)
    for name, mask in expected.items():
        assert np.array_equal(actual[name], mask), name


def test_voc(masks: Masks, tmp_path: Path) -> None:
    export_masks(masks, "voc", Options(with_images="copy"), tmp_path / "o", workers=2)
    files = {item.id: tmp_path / "o" / "SegmentationClass" / f"{item.id}.png" for item in masks.items}
    same({name: np.array(Image.open(path)) for name, path in files.items()}, masks)
    colours = voc_labelmap(tmp_path / "o" / "labelmap.txt")
    for name, path in files.items():
        shown, mask = np.array(Image.open(path).convert("RGB")), truth(masks)[name]
        for label_name, value in values(masks).items():
            if (mask == value).any():
                assert (shown[mask == value] == colours[label_name]).all()
    # and as a dataset
    data = open_dataset({"root": tmp_path / "o"}, work=tmp_path)
    assert data.classes.names == masks.classes.names
    for split, samples in data.splits.items():
        assert [sample.id for sample in samples] == [item.id for item in masks.items if split in item.splits]
        for sample in samples:
            assert sample.mask == files[sample.id] and sample.image.read_bytes()


def test_coco(masks: Masks, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    for options in (Options(), Options(components=True)):
        export_masks(masks, "coco", options, tmp_path / "o", force=True)
        same({Path(name).stem: mask for name, mask in coco_masks(tmp_path / "o" / "annotations.json").items()}, masks)


def test_cvat(masks: Masks, tmp_path: Path) -> None:
    for components in (False, True):
        export_masks(masks, "cvat", Options(components=components), tmp_path / "o", force=True)
        classes, things = cvat_masks(tmp_path / "o" / "segmentation_mask_1.1.zip", values(masks))
        same(classes, masks)
        for name, mask in truth(masks).items():
            regions = np.unique(np.stack([mask.astype(np.int64).ravel(), things[name].ravel()]), axis=1)
            assert ((things[name] == 0) == (mask == 0)).all()  # every pixel of a class belongs to an object
            assert len(set(regions[1])) == regions.shape[1]  # and no object is of two classes
            foreground = [value for value in np.unique(mask) if value not in (0, 255)]
            counts = [label(mask == value, np.ones((3, 3)))[1] if components else 1 for value in foreground]
            assert len(set(regions[1]) - {0}) == sum(counts) + bool((mask == 255).any())


def test_label_studio(masks: Masks, tmp_path: Path) -> None:
    export_masks(masks, "label-studio", Options(), tmp_path / "o")
    actual = label_studio_masks(tmp_path / "o", values(masks))
    for item in masks.items:
        actual[item.id] = actual.get(item.id, np.zeros_like(truth(masks)[item.id]))
    same({item.id: actual[item.id] for item in masks.items}, masks)
    view = ElementTree.parse(tmp_path / "o" / "label_config.xml").getroot()
    labels = [one.attrib["value"] for one in view.iter("Label")]
    assert labels == [*masks.classes.foreground, "ignore"]


def test_overlays_without_contours_have_the_class_colours(masks: Masks, tmp_path: Path) -> None:
    options = Options(opacity=1, contours=False, legend=False, keep_ignored=False)
    export_masks(masks, "overlay", options, tmp_path / "o")
    colours = dict(zip(masks.classes.names, class_colours(masks.classes), strict=True))
    for item in masks.items:
        shown, mask = np.array(Image.open(tmp_path / "o" / f"{item.id}.png")), truth(masks)[item.id]
        assert shown.shape == (*mask.shape, 3)
        assert item.image is not None
        photograph = np.array(Image.open(item.image).convert("RGB"))
        for name, value in values(masks).items():
            there = mask == value
            if value in (0, 255):
                assert (shown[there] == photograph[there]).all()
            else:
                assert (shown[there] == colours[name]).all()


@pytest.mark.parametrize("components", [False, True])
def test_exact_polygons(masks: Masks, tmp_path: Path, components: bool) -> None:
    export_masks(masks, "polygons", Options(tolerance=0, components=components), tmp_path / "o")
    actual = {item.id: polygon_mask(tmp_path / "o" / f"{item.id}.geojson", values(masks)) for item in masks.items}
    same(actual, masks)


def test_simplified_polygons(masks: Masks, tmp_path: Path) -> None:
    simplified = export_masks(masks, "polygons", Options(), tmp_path / "o")
    exact = export_masks(masks, "polygons", Options(tolerance=0), tmp_path / "exact")
    assert simplified["corners"] < exact["corners"]
    for item in masks.items:
        mask = truth(masks)[item.id]
        actual = _overlapping(tmp_path / "o" / f"{item.id}.geojson", values(masks), mask.shape)
        for value in np.unique(mask[mask > 0]):
            both = (actual[value] & (mask == value)).sum() / (actual[value] | (mask == value)).sum()
            assert both >= 0.99, (item.id, value)


def _overlapping(path: Path, named: dict[str, int], size: tuple[int, int]) -> dict[int, NDArray[np.bool_]]:
    """Read one class at a time, because simplified polygons of different classes may overlap."""
    import json

    document = json.loads(path.read_text(encoding="utf-8"))
    actual = {}
    for feature in document["features"]:
        alone = path.with_suffix(".one")
        alone.write_text(json.dumps({**document, "features": [feature]}), encoding="utf-8")
        actual[named[feature["properties"]["class"]]] = polygon_mask(alone, named) > 0
    assert all(one.shape == size for one in actual.values())
    return actual


def test_sheets_as_png_and_pdf_are_equal(masks: Masks, tmp_path: Path) -> None:
    options = Options(columns=2, rows=2)
    assert export_masks(masks, "sheet", options, tmp_path / "png")["pages"] == -(-len(masks.items) // 4)
    export_masks(masks, "sheet", Options(columns=2, rows=2, pages="pdf"), tmp_path / "pdf")
    pages = [np.array(Image.open(path)) for path in sorted((tmp_path / "png").glob("*.png"))]
    content = (tmp_path / "pdf" / "sheet.pdf").read_bytes()
    counts = re.findall(rb"/Count (\d+)", content)  # pages are appended; the last count is final
    assert content.startswith(b"%PDF-") and int(counts[-1]) == len(pages)
    streams = re.findall(rb"/Subtype /Image\b.*?stream\n(.*?)\nendstream", content, re.DOTALL)
    assert len(streams) == len(pages)
    for stream, page in zip(streams, pages, strict=True):  # pages of a PDF are JPEGs
        actual = np.array(Image.open(io.BytesIO(stream)))
        assert actual.shape == page.shape
        assert np.abs(actual.astype(int) - page).mean() < 6


def test_removed_pixels_become_background(made: Masks, tmp_path: Path) -> None:
    export_masks(made, "voc", Options(min_area=10, keep_ignored=False), tmp_path / "o")
    assert "ignore" not in (tmp_path / "o" / "labelmap.txt").read_text()
    for name, mask in truth(made).items():
        actual = read_mask(tmp_path / "o" / "SegmentationClass" / f"{name}.png")
        expected = np.where(mask == 255, 0, mask)
        for value in (8, 11, 20):
            labels, count = label(mask == value, np.ones((3, 3)))
            for number in range(1, count + 1):
                if (labels == number).sum() < 10:
                    expected[labels == number] = 0
        assert np.array_equal(actual, expected)


def test_work_on_components_does_not_grow_with_their_number_times_the_image() -> None:
    mask = np.zeros((300, 300), np.uint8)
    mask[::3, ::3] = 1
    mask[150] = 2
    regions = [region for _, region in objects(mask, Options(components=True))]
    assert len(regions) == 100 * 100 - 100 + 1
    assert sum(region.window.size for region in regions) == np.count_nonzero(mask)
    again = np.zeros(mask.shape, bool)
    for region in regions:
        region.view(again)[region.window] = True
    assert np.array_equal(again, mask > 0)
