"""Input of import-masks that is refused, without writing anything."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_sources import (
    CAT,
    COCO_BOX,
    CVAT_POLYGON,
    HEIGHT,
    LABELME_POLYGON,
    SIZE,
    WIDTH,
    coco,
    cvat,
    error_of,
    imported,
    labelme,
    rectangle,
    studio,
    studio_polygon,
)

from wsss.data.corrections.import_masks import ImportOptions, import_masks
from wsss.data.dataset import Dataset
from wsss.io.rasters.label_masks import write_mask


def test_damaged_sources_name_the_file(data: Dataset, tmp_path: Path) -> None:
    half = tmp_path / "half.json"
    half.write_text(coco(tmp_path, COCO_BOX).read_text()[:-40])
    assert str(half) in str(error_of(half, data, tmp_path).subject)
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("annotations.xml", "<annotations><image")
    assert str(archive) in str(error_of(archive, data, tmp_path).subject)
    archive.write_bytes(archive.read_bytes()[:60])
    assert error_of(archive, data, tmp_path).subject == str(archive)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../evil.png", "x")
    assert "evil.png" in error_of(archive, data, tmp_path).problem
    with zipfile.ZipFile(archive, "w") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("masks/a.png", "x")
        file.writestr("masks/a.png", "y")
    error = error_of(archive, data, tmp_path)
    assert "masks/a.png" in error.problem and error.subject == str(archive)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.json", "{}")
        file.writestr("a.json/b.json", "{}")
    assert error_of(archive, data, tmp_path).subject == str(archive)
    assert error_of(tmp_path / "none", data, tmp_path).subject == str(tmp_path / "none")


def test_other_sizes_are_refused(data: Dataset, tmp_path: Path) -> None:
    found, allowed = "30×20", f"{WIDTH}×{HEIGHT}"
    write_mask(tmp_path / "m" / "a.png", np.full((20, 30), 8, np.uint8))
    larger = {"original_width": 30, "original_height": 20}
    for source in (
        tmp_path / "m",
        coco(tmp_path, COCO_BOX, height=20, width=30),
        cvat(tmp_path, CVAT_POLYGON).rename(tmp_path / "b.xml"),
        studio(tmp_path, studio_polygon(**larger)),
        labelme(tmp_path, LABELME_POLYGON, imageHeight=20, imageWidth=30),
    ):
        if source.suffix == ".xml":
            source.write_text(
                source.read_text().replace(f'width="{WIDTH}" height="{HEIGHT}"', 'width="30" height="20"')
            )
        error = error_of(source, data, tmp_path)
        assert (error.found, error.allowed) == (found, allowed) and source.name in str(error.subject), source
        assert "upright" not in str(error.hint)
    write_mask(tmp_path / "m" / "a.png", np.full((WIDTH, HEIGHT), 8, np.uint8))  # of the photograph as it is stored
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "upright" in str(error.hint) and error.found == f"{HEIGHT}×{WIDTH}"


def test_unknown_classes_suggest_the_closest(data: Dataset, tmp_path: Path) -> None:
    for source in (
        cvat(tmp_path, CVAT_POLYGON.replace("cat", "cta")),
        studio(tmp_path, studio_polygon("cta")),
        labelme(tmp_path, {**LABELME_POLYGON, "label": "cta"}),
    ):
        error = error_of(source, data, tmp_path)
        assert error.found == "cta" and "cat" in (error.allowed or ()) and source.name in str(error.subject)
    assert error_of(coco(tmp_path, {**COCO_BOX, "category_id": 2}), data, tmp_path).found == "cow"
    write_mask(tmp_path / "m" / "a.png", np.full(SIZE, 99, np.uint8))
    assert error_of(tmp_path / "m", data, tmp_path).found == [99]


def test_a_file_of_json_min_is_named(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "min.json").write_text('[{"image": "a.png", "id": 1, "tag": [{"brushlabels": ["cat"]}]}]')
    assert "not as JSON-MIN" in str(error_of(tmp_path / "min.json", data, tmp_path).hint)


def test_unknown_images_are_refused(data: Dataset, tmp_path: Path) -> None:
    assert "'zebra.png'" in error_of(cvat(tmp_path, CVAT_POLYGON, name="zebra.png"), data, tmp_path).problem
    assert "'zebra.png'" in error_of(coco(tmp_path, COCO_BOX, file_name="zebra.png"), data, tmp_path).problem
    write_mask(tmp_path / "m" / "a.png", np.full(SIZE, 8, np.uint8))
    write_mask(tmp_path / "m" / "a.tif.png", np.full(SIZE, 8, np.uint8))
    assert "two masks" in error_of(tmp_path / "m", data, tmp_path).problem


def test_errors_about_selected_images_are_not_dropped(data: Dataset, tmp_path: Path) -> None:
    """With ``--ids``, the first of two masks of an image was imported without a word."""
    write_mask(tmp_path / "m" / "a.png", np.full(SIZE, 8, np.uint8))
    write_mask(tmp_path / "m" / "a.tif.png", np.full(SIZE, 12, np.uint8))
    write_mask(tmp_path / "m" / "b.png", np.full(SIZE, 8, np.uint8))
    write_mask(tmp_path / "m" / "zebra.png", np.full(SIZE, 8, np.uint8))
    error = error_of(tmp_path / "m", data, tmp_path, ids=["a", "b"])
    assert "two masks" in error.problem and "zebra" not in error.message
    assert import_masks(tmp_path / "m", data, tmp_path / "c", ImportOptions(ids=["b"])).ids == ("b",)


def test_one_invalid_mask_of_several_writes_none(data: Dataset, tmp_path: Path) -> None:
    write_mask(tmp_path / "m" / "a.png", np.full(SIZE, 8, np.uint8))
    write_mask(tmp_path / "m" / "b.png", np.full(SIZE, 255, np.uint8))
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "no labelled pixel" in error.problem and "b.png" in str(error.subject)


@pytest.mark.parametrize(
    "broken",
    [
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "zzzzzzz"}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [3, 4]}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [3, -4]}},
        {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [HEIGHT * WIDTH]}},
        {"segmentation": [[1, 2, 3]]},
        {"segmentation": [[1, 2, 3, 4]]},
        {"segmentation": [[1, 2, 3, 4, 1e300, 5]]},
        {"bbox": [1, 2]},
        {"image_id": 7, "bbox": [1, 2, 3, 4]},
        {"image_id": [], "bbox": [1, 2, 3, 4]},
        {},
    ],
)
def test_broken_regions_are_errors(broken: dict[str, Any], data: Dataset, tmp_path: Path) -> None:
    assert "annotations[0]" in str(error_of(coco(tmp_path, broken), data, tmp_path).subject)


@pytest.mark.parametrize("stream", [[], [0] * 8, [255] * 40, [0, 0, 3, 0, 57, 0, 0, 255]])
def test_broken_brushes_are_errors(stream: list[int], data: Dataset, tmp_path: Path) -> None:
    value = {"format": "rle", "rle": stream, "brushlabels": ["cat"]}
    assert "result[0]" in str(
        error_of(studio(tmp_path, {"type": "brushlabels", "value": value}), data, tmp_path).subject
    )


@pytest.mark.parametrize("labels", [[], ["cat", "dog"]])
def test_regions_need_one_label(labels: list[str], data: Dataset, tmp_path: Path) -> None:
    region = studio_polygon()
    region["value"]["polygonlabels"] = labels
    error = error_of(studio(tmp_path, region), data, tmp_path)
    assert (error.found, error.allowed) == (labels or None, "one label")


def test_regions_of_unknown_types_are_not_lost(data: Dataset, tmp_path: Path) -> None:
    cuboid = cvat(tmp_path, CVAT_POLYGON, '<tag label="x" />', '<cuboid label="cat" xtl1="1" />')
    assert error_of(cuboid, data, tmp_path).found == "cuboid"
    vector = studio(tmp_path, {"type": "vectorlabels", "value": {"vertices": [], "vectorlabels": ["cat"]}})
    assert error_of(vector, data, tmp_path).found == "vectorlabels"
    choice = {"type": "choices", "value": {"choices": ["done"]}}
    mask = imported(studio(tmp_path, choice, studio_polygon()), data, tmp_path)
    assert np.array_equal(mask, rectangle(CAT))


def test_a_source_without_any_region_is_refused(data: Dataset, tmp_path: Path) -> None:
    for source in (coco(tmp_path), cvat(tmp_path), studio(tmp_path), labelme(tmp_path)):
        error = error_of(source, data, tmp_path)
        assert "--empty background" in str(error.hint) and source.name in str(error.subject)


def test_bitmasks_are_not_lost(data: Dataset, tmp_path: Path) -> None:
    bitmask = {"imageDataURL": "data:image/png;base64,", "bitmasklabels": ["cat"]}
    for kind, value in (("bitmasklabels", bitmask), ("bitmask", bitmask), ("videolabels", {"videolabels": ["cat"]})):
        assert error_of(studio(tmp_path, {"type": kind, "value": value}), data, tmp_path).found == kind


@pytest.mark.parametrize(
    "shape",
    [
        '<polygon label="dog" points="20,1;26,1;26,4;20,4" />',
        '<polyline label="dog" points="-9,-9;-4,-4" />',
        '<points label="dog" points="12,30" />',
        '<ellipse label="dog" cx="40" cy="5" rx="3" ry="3" />',
        '<box label="dog" xtl="2" ytl="-9" xbr="6" ybr="-4" />',
    ],
)
def test_regions_outside_the_image_are_errors(shape: str, data: Dataset, tmp_path: Path) -> None:
    error = error_of(cvat(tmp_path, CVAT_POLYGON, shape), data, tmp_path)
    assert "outside" in error.problem and "a.png" in str(error.subject)
