"""The reader of the COCO layout, with pycocotools as oracle of the masks."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import CATEGORIES, IDS, SIZE, TRAIN, annotation, rle, square, write_coco

from wsss.data.checks.check import check_dataset
from wsss.data.coco.annotation_index import build_index
from wsss.data.coco.instance_mask import InstanceMask, region_of
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.files import json_stream
from wsss.io.rasters.rgb_images import write_png

Open = Callable[..., Dataset]


ErrorOf = Callable[..., InvalidInput]


def api(root: Path, split: str) -> Any:
    from pycocotools.coco import COCO

    return COCO(str(root / f"annotations/instances_{split}2014.json"))


def test_labels_classes_and_splits(coco: Path, open_at: Open, lines: list[str]) -> None:
    data = open_at(coco)
    assert data.name == "coco" and list(data.splits) == ["train", "val"]
    assert data.classes.names == ("background", *CATEGORIES.values())
    assert data.classes.names.index("stop sign") == 12 and data.classes.values[12] == (12,)  # its id is 13
    assert {s.id: s.labels for s in data.split("train")} == {
        "COCO_train2014_000000000001": (1, 17),
        "COCO_train2014_000000000002": (),
        "COCO_train2014_000000000003": (1,),  # a crowd only
        "COCO_train2014_000000000004": (74,),
    }
    assert data.split("val")[0].labels == (80,) and data.image_root == coco
    assert [line for line in lines if "unannotated: keep" in line] and not data.missing


def test_masks_have_the_pixels_of_the_coco_api(coco: Path, open_at: Open) -> None:
    pytest.importorskip("pycocotools")
    data = open_at(coco)
    for split in ("train", "val"):
        tool = api(coco, split)
        numbers = {id: number for number, id in enumerate(sorted(tool.cats), start=1)}
        for sample in data.split(split):
            identity = int(sample.id.rpartition("_")[2])
            found = tool.loadAnns(tool.getAnnIds(imgIds=identity))
            expected = np.zeros(SIZE, np.uint8)
            for one in [a for a in found if a["iscrowd"]]:
                expected[tool.annToMask(one) > 0] = 255
            for one in sorted((a for a in found if not a["iscrowd"]), key=lambda a: -int(tool.annToMask(a).sum())):
                expected[tool.annToMask(one) > 0] = numbers[one["category_id"]]
            truth = read_sample_mask(pickle.loads(pickle.dumps(sample)), data.classes, size=SIZE)
            assert np.array_equal(truth, expected)
    first = read_sample_mask(data.split("train")[0], data.classes)
    assert (first[10, 10], first[4, 4], first[20, 20]) == (1, 17, 0)  # the person is smaller: on top of the dog


def test_memory_does_not_grow_with_the_number_of_objects(tmp_path: Path) -> None:
    height, width = size = (300, 400)
    rng = np.random.default_rng(0)
    corners = (rng.random((120, 2)) * [width - 40, height - 40]).tolist()
    sides = [200, *rng.integers(3, 40, 59).tolist()] * 2  # many of equal size
    outlines: list[Any] = [[square(*corner, side)] for corner, side in zip(corners, sides, strict=True)]
    outlines[5] = rle(np.ones(size, bool))
    records = [
        annotation(1, IDS[number % 80], outline, iscrowd=int(number % 9 == 0))
        for number, outline in enumerate(outlines)
    ]
    root = write_coco(tmp_path, {"train": (1,)}, {"train": records}, size=size)
    index = build_index(root / TRAIN)
    drawing = InstanceMask(root / TRAIN, 1, size, index.annotations.tobytes())
    regions = [(region_of(outline, size), number) for number, outline in enumerate(outlines)]
    expected = np.zeros(size, np.uint8)
    for region, _ in regions[::9]:
        expected[region] = 255
    for region, number in sorted((r for r in regions if r[1] % 9), key=lambda item: -int(item[0].sum())):
        expected[region] = number % 80 + 1
    tracemalloc.start()
    try:
        mask = drawing.draw()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(mask, expected) and len(np.unique(mask)) > 40
    assert peak < 20 * height * width  # a byte per pixel and object would be 120


def test_polygons_are_those_of_the_coco_api() -> None:
    tool = pytest.importorskip("pycocotools.mask")
    from wsss.data.coco.polygon_pixels import polygon_pixels

    rng = np.random.default_rng(0)
    for number in range(200):
        height, width = rng.integers(1, 60, 2).tolist()
        ring = rng.random((int(rng.integers(3, 20)), 2)) * [width, height]
        ring = ring * 1.6 - 0.3 * max(height, width) if number % 3 == 0 else np.round(ring, number % 2)
        ring = np.concatenate([ring, ring[-1:], ring[:1]]) if number % 5 == 0 else ring
        expected = tool.decode(tool.merge(tool.frPyObjects([ring.ravel().tolist()], height, width)))
        assert np.array_equal(polygon_pixels(ring, (height, width)), expected > 0), number


def test_chosen_classes(coco: Path, open_at: Open) -> None:
    data = open_at(coco, classes={"animal": ["dog", "cat"], "reader": "book"}, other="ignore")
    assert data.classes.names == ("background", "animal", "reader")
    first = data.split("train")[0]
    assert first.labels == (1,)
    assert np.unique(read_sample_mask(first, data.classes)).tolist() == [0, 1, 255]
    assert open_at(coco, classes={"pair": [1, 17]}).split("train")[0].labels == (1,)  # numbers, not category ids


@pytest.mark.parametrize(
    ("classes", "number", "allowed"),
    [
        ({"horse": 18, "toothbrush": 90}, 90, "values in masks, 1 to 80"),  # 90 is the id of toothbrush
        ({"animal": ["cat", 200]}, 200, "values in masks, 1 to 80"),
        ({"dog": 18}, 18, "17 for 'dog'"),  # the number of horse
    ],
)
def test_category_ids_are_no_numbers(
    classes: dict[str, Any], number: int, allowed: str, coco: Path, error_of: ErrorOf
) -> None:
    error = error_of(coco, classes=classes)
    assert (error.found, error.allowed) == (number, allowed)
    assert error.subject == f"data.classes.{[*classes][-1]}"
    assert error.hint is not None and "category ids" in error.hint and "names" in error.hint


def test_numbers_of_classes_select_them(coco: Path, open_at: Open, lines: list[str]) -> None:
    data = open_at(coco, classes={"dog": 17, "toothbrush": [80, "book"], "person": ["person", 2]})
    assert data.classes.values == ((0,), (17,), (80, 74), (1, 2))
    assert [sample.labels for sample in data.split("train")] == [(1, 3), (), (3,), (2,)]
    assert [line for line in lines if "dog: 17 = dog, toothbrush: 80 = toothbrush" in line and "person: 2 =" in line]


def test_unannotated_images_can_be_dropped(coco: Path, open_at: Open, lines: list[str]) -> None:
    ids = [sample.id[-1] for sample in open_at(coco, unannotated="drop").split("train")]
    assert ids == ["1", "3", "4"]
    assert [line for line in lines if "1 image without annotations is left out" in line]


def test_small_chunks_and_other_scripts(coco: Path, open_at: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = open_at(coco).splits
    path = coco / TRAIN
    text = path.read_text()
    path.write_text("\ufeff" + text.replace('"info": {}', '"info": {"description": "日本 é"}'), encoding="utf-8")
    monkeypatch.setattr(json_stream, "CHUNK", 7)
    data = open_at(coco)
    assert [s.labels for s in data.split("train")] == [s.labels for s in expected["train"]]
    for old, new in zip(expected["train"], data.split("train"), strict=True):
        assert new.drawing is not None and old.drawing is not None
    assert read_sample_mask(data.split("train")[0], data.classes).any()


def test_non_ascii_names(coco: Path, open_at: Open) -> None:
    path = coco / TRAIN
    path.write_text(path.read_text().replace('"dog"', '"chien é\\u0301"'), encoding="utf-8")
    assert "chien é\u0301" in open_at(coco, splits=["train"]).classes.names


def test_years(coco: Path, open_at: Open, error_of: ErrorOf) -> None:
    write_coco(coco, {"val": (5,)}, {"val": []}, size=SIZE, year=2017)
    assert (coco / "val2017" / "000000000005.jpg").is_file()
    assert error_of(coco).hint is not None and "data.year" in str(error_of(coco).hint)
    assert [s.id for s in open_at(coco, year=2017).split("val")] == ["000000000005"]
    assert error_of(coco, year=2016).subject == "data.year"


def test_named_files_and_nested_images(coco: Path, open_at: Open, error_of: ErrorOf) -> None:
    (coco / "images").mkdir()
    for name in ("train2014", "val2014"):
        (coco / name).rename(coco / "images" / name)
    assert open_at(coco).split("val")[0].image.parent == coco / "images" / "val2014"
    (coco / TRAIN).rename(coco / "mine.json")
    keys = {"annotations": {"fit": "mine.json"}, "images": {"fit": "images/train2014"}}
    assert len(open_at(coco, **keys).split("fit")) == 4
    assert error_of(coco, annotations={"fit": "mine.json"}).subject == str(coco / "fit")


def test_boxes_are_no_masks(coco: Path, open_at: Open, lines: list[str]) -> None:
    path = coco / TRAIN
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = []
    path.write_text(json.dumps(content))
    first = open_at(coco).split("train")[0]
    assert first.mask is None and first.labels == (1, 17)
    assert [line for line in lines if "without an outline" in line and first.id in line]


def test_the_check_reads_every_mask(coco: Path, open_at: Open) -> None:
    report = check_dataset(open_at(coco))
    assert not report.problems and report.splits["train"].masked == 4
    assert report.splits["train"].class_images["person"] == 2
    write_png(coco / "train2014" / "COCO_train2014_000000000001.jpg", np.zeros((5, 7, 3), np.uint8))
    content = json.loads((coco / TRAIN).read_text())
    content["annotations"][3]["segmentation"]["counts"] = "~"
    (coco / TRAIN).write_text(json.dumps(content))
    problems = {finding.kind: finding.examples for finding in check_dataset(open_at(coco)).problems}
    assert "image COCO_train2014_000000000001" in problems["masks that differ in size from their image"][0]
    assert "image 4, annotation" in problems["invalid masks"][0]


def test_a_drawing_belongs_to_its_mask(coco: Path, open_at: Open) -> None:
    from dataclasses import replace

    sample = open_at(coco).split("train")[0]
    with pytest.raises(ValueError, match="expected a drawing of"):
        replace(sample, mask=coco / "other.png")
    assert replace(sample, mask=coco / "other.png", drawing=None) == Sample(
        sample.id, sample.image, sample.labels, coco / "other.png"
    )
