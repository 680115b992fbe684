"""Importing masks as annotation tools really write them: variants of labelme and Label Studio files."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_sources import (
    CAT,
    HEIGHT,
    LABELME_POLYGON,
    RECTANGLE,
    SIZE,
    UNLABELLED,
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
from PIL import Image

from wsss.data.corrections.import_masks import import_masks
from wsss.data.dataset import Dataset
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png


@pytest.mark.parametrize("kind", ["rectangle", "oriented_rectangle", "rotation"])
def test_boxes_of_four_corners(kind: str, data: Dataset, tmp_path: Path) -> None:
    """X-AnyLabeling writes labelme files with four corners per rectangle; both tools have rotated ones."""
    source = labelme(tmp_path, {"label": "cat", "shape_type": kind, "points": RECTANGLE})
    assert np.array_equal(imported(source, data, tmp_path), rectangle(UNLABELLED))
    turned = labelme(tmp_path, {"label": "cat", "shape_type": kind, "points": [[5, 1], [9, 5], [5, 9], [1, 5]]})
    (tmp_path / "turned").mkdir()
    mask = imported(turned, data, tmp_path / "turned", boxes="fill")
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = abs(columns + 0.5 - 5) + abs(rows + 0.5 - 5)
    assert (mask[distance < 4] == CAT).all() and not mask[distance > 4].any()


def test_masks_of_labelme_end_at_the_border_of_the_image(data: Dataset, tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(np.full((4, 6), 255, np.uint8)).save(content, "PNG")
    shape = {"label": "cat", "shape_type": "mask", "mask": base64.b64encode(content.getvalue()).decode()}
    expected = np.zeros(SIZE, np.uint8)
    expected[:3, 12:] = CAT
    source = labelme(tmp_path, {**shape, "points": [[12, -1], [17, 2]]})
    assert np.array_equal(imported(source, data, tmp_path), expected)
    outside = labelme(tmp_path, {**shape, "points": [[16, 0], [21, 3]]})
    assert "outside" in error_of(outside, data, tmp_path, force=True).problem


def test_labelme_files_in_folders_mean_the_images_beside_them(tmp_path: Path, open_at: Callable[..., Dataset]) -> None:
    """The path of the image is relative to the folder of the labelme file."""
    root, files = tmp_path / "photos", {"1": "1.png", "t__1": "t/1.png", "u__1": "u/1.png", "2": "u/2.png"}
    for file in files.values():
        (root / "images" / file).parent.mkdir(parents=True, exist_ok=True)
        write_png(root / "images" / file, np.zeros((*SIZE, 3), np.uint8))
    (root / "classes.txt").write_text("cat\ndog\n")
    (root / "files.csv").write_text("image_id,file\n" + "".join(f"{id},{file}\n" for id, file in files.items()))
    data = open_at(root, layout="folder", files="files.csv", val_fraction=0)
    labels = tmp_path / "labels"
    for folder, name, written in (
        (root / "images" / "t", "1.json", "1.png"),
        (labels, "1.json", "1.png"),
        (labels / "u", "1.json", "1.png"),
        (labels / "elsewhere", "2.json", "2.png"),
        (labels / "windows", "1.json", "..\\..\\photos\\images\\t\\1.png"),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        labelme(folder, LABELME_POLYGON, imagePath=written).rename(folder / name)
    found = import_masks(root / "images", data, tmp_path / "beside")
    assert found.format == "labelme" and found.ids == ("t__1",)
    assert import_masks(root / "images" / "t" / "1.json", data, tmp_path / "one").ids == ("t__1",)
    assert set(import_masks(labels, data, tmp_path / "others").ids) == {"1", "u__1", "2", "t__1"}


def test_rotated_boxes_of_cvat_in_coco(data: Dataset, tmp_path: Path) -> None:
    """CVAT's COCO export has the box before its rotation, and the angle as an attribute."""
    expected = np.zeros(SIZE, np.uint8)
    expected[2:10, 7:9] = CAT
    turned = cvat(tmp_path, '<box label="cat" xtl="4" ytl="5" xbr="12" ybr="7" rotation="90"/>')
    assert np.array_equal(imported(turned, data, tmp_path, boxes="fill"), expected)
    upright = np.zeros(SIZE, np.uint8)
    upright[5:7, 4:12] = CAT
    for name, rotation, mask in (("turned", 90.0, expected), ("none", 0.0, upright), ("named", "left", upright)):
        box = {"segmentation": [], "bbox": [4, 5, 8, 2], "attributes": {"occluded": False, "rotation": rotation}}
        (tmp_path / name).mkdir()
        assert np.array_equal(imported(coco(tmp_path, box), data, tmp_path / name, boxes="fill"), mask), name


def test_upright_boxes_are_not_rounded(data: Dataset, tmp_path: Path) -> None:
    """Corners computed from the centre of a box gained a column: its right edge was at 3.5000000000000004."""
    expected = np.zeros(SIZE, np.uint8)
    expected[1:3, 1:3] = CAT
    for source in (
        coco(tmp_path, {"bbox": [1.05, 1.05, 2.45, 2.45]}),
        cvat(tmp_path, '<box label="cat" xtl="1.05" ytl="1.05" xbr="3.5" ybr="3.5" />'),
    ):
        (tmp_path / source.stem).mkdir()
        assert np.array_equal(imported(source, data, tmp_path / source.stem, boxes="fill"), expected), source


@pytest.mark.parametrize("other", ['{"images": [], "annotations": [], "categories": []}', '[{"data": {}}]', "{"])
def test_other_json_files_in_folders_beside_masks_are_ignored(other: str, data: Dataset, tmp_path: Path) -> None:
    write_mask(tmp_path / "m" / "train" / "a.png", rectangle(8))
    (tmp_path / "m" / "meta").mkdir()
    (tmp_path / "m" / "meta" / "instances.json").write_text(other)
    assert import_masks(tmp_path / "m", data, tmp_path / "c").format == "folder"


@pytest.mark.parametrize("beside", [True, False])
def test_nested_annotations_of_another_kind_are_named(beside: bool, data: Dataset, tmp_path: Path) -> None:
    """As Roboflow exports COCO: photographs are not masks."""
    folder = tmp_path / "m" / "train"
    folder.mkdir(parents=True)
    if beside:
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "a.jpg")
    (folder / "_annotations.coco.json").write_text('{"images": [], "annotations": [], "categories": []}')
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "coco" in error.message and "JPEG" not in error.message


def test_labelme_files_are_found_behind_other_files(data: Dataset, tmp_path: Path) -> None:
    """Jupyter keeps copies in hidden folders."""
    hidden, tree = tmp_path / "m" / ".ipynb_checkpoints", tmp_path / "m" / "train"
    for folder in (hidden, tree):
        folder.mkdir(parents=True)
    (hidden / "x.json").write_text("{}")
    labelme(tree, LABELME_POLYGON)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tree / "a.jpg")
    assert import_masks(tmp_path / "m", data, tmp_path / "c").format == "labelme"
    (tree / "0.json").write_text("{")
    error = error_of(tmp_path / "m", data, tmp_path, force=True)
    assert str(tree / "0.json") in str(error.subject) and "JSON" in error.problem


def test_remarks_on_regions_are_no_regions(data: Dataset, tmp_path: Path) -> None:
    """Label Studio repeats the coordinates of a region in each answer to a question about the region."""
    box = {"x": 12.5, "y": 25 / 3, "width": 25, "height": 25, "rotation": 0}
    source = studio(
        tmp_path,
        {"type": "rectanglelabels", "value": {**box, "rectanglelabels": ["cat"]}},
        {"type": "choices", "value": {**box, "choices": ["blurred"]}},
        {"type": "textarea", "value": {**box, "text": ["at night"]}},
        {"type": "taxonomy", "value": {**box, "taxonomy": [["animal", "cat"]]}},
    )
    assert np.array_equal(imported(source, data, tmp_path, boxes="fill"), rectangle(CAT))


def test_other_texts_of_a_task_are_not_its_image(data: Dataset, tmp_path: Path) -> None:
    task = {"data": {"caption": "a cat", "photo": "/data/upload/1/01234567-a.png"}}
    source = studio(tmp_path, studio_polygon(), **task)
    assert np.array_equal(imported(source, data, tmp_path), rectangle(CAT))


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ("right", {"left": "/data/upload/1/01234567-b.png", "right": "/data/upload/1/89abcdef-a.png"}),
        ("img", {"caption": "see b.png", "img": "s3://bucket/a.png"}),
        ("tag", {"caption": "see b.png", "img": "s3://bucket/a.png"}),
        ("before", {"image": "b.png", "before": "https://host/a.png"}),
        ("image", {"image_url": "s3://bucket/a.png", "mask_url": "s3://bucket/b.png"}),
        ("image", {"thumbnail": "s3://bucket/b.png", "url": "s3://bucket/a.png"}),
        ("image", {"name": "b.png", "url": "s3://bucket/a.png"}),
        ("tag", {"first": "a.png", "copy": "a.png"}),
        ("tag", {"first": "b.png", "second": "c.png", "image_id": "a"}),
    ],
)
def test_the_image_of_a_task_is_the_one_with_regions(
    target: str, task: dict[str, str], data: Dataset, tmp_path: Path
) -> None:
    source = studio(tmp_path, studio_polygon(to_name=target), data=task)
    assert np.array_equal(imported(source, data, tmp_path), rectangle(CAT))


def test_images_of_a_task_that_cannot_be_distinguished_are_refused(data: Dataset, tmp_path: Path) -> None:
    """The regions name a tag of the labelling interface, which the export does not contain."""
    task = {"before": "a.png", "after": "b.png"}
    error = error_of(studio(tmp_path, studio_polygon(to_name="tag"), data=task), data, tmp_path)
    assert error.found == ["before", "after"] and str(error.subject).endswith("[0].data")


@pytest.mark.parametrize("other", [{"to_name": "right"}, {"to_name": "left", "item_index": 1}])
def test_regions_on_several_images_are_refused(other: dict[str, object], data: Dataset, tmp_path: Path) -> None:
    first = studio_polygon(to_name="left", item_index=0)
    source = studio(tmp_path, first, studio_polygon(**other))
    assert "several images" in error_of(source, data, tmp_path).problem
