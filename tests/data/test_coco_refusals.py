"""Files in the COCO layout that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import SIZE, TRAIN

from wsss.data.dataset import Dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png

Open = Callable[..., Dataset]


ErrorOf = Callable[..., InvalidInput]


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    return edit


BROKEN = {
    "cut": (lambda text: text[:-40], ""),
    "a list": (lambda text: "[]", ""),
    "more data": (lambda text: text + "{}", ""),
    "not a number": (lambda text: text.replace('"image_id": 1', '"image_id": NaN'), ""),
    "deep": (lambda text: '{"images": ' + "[" * 100_000, ""),
    "UTF-16": (lambda text: "\ufffe" + text, ""),
    "no categories": (edited(lambda c: c.pop("categories")), ""),
    "categories: object": (edited(lambda c: c.update(categories={})), ": categories"),
    "no category": (edited(lambda c: c["categories"].clear()), ": categories"),
    "same category": (edited(lambda c: c["categories"][1].update(name="person")), ": categories[1].name"),
    "line feed": (edited(lambda c: c["categories"][1].update(name="a\nb")), ": categories[1].name"),
    "surrogate": (edited(lambda c: c["categories"][1].update(name="a\ud800")), ": categories[1].name"),
    "category twice": (edited(lambda c: c["categories"][1].update(id=1)), ": categories[1].id"),
    "unknown category": (edited(lambda c: c["annotations"][1].update(category_id=12)), ": annotations[1].category_id"),
    "unknown image": (edited(lambda c: c["annotations"][2].update(image_id=99)), ": annotations[2].image_id"),
    "text as id": (edited(lambda c: c["annotations"][0].update(image_id="1")), ": annotations[0].image_id"),
    "no id": (edited(lambda c: c["images"][0].pop("id")), ": images[0].id"),
    "image twice": (edited(lambda c: c["images"][1].update(id=1)), ": images[1].id"),
    "file twice": (edited(lambda c: c["images"][1].update(c["images"][0], id=2)), ": images[1].file_name"),
    "escape": (edited(lambda c: c["images"][0].update(file_name="../x.jpg")), ": images[0].file_name"),
    "absolute": (edited(lambda c: c["images"][0].update(file_name="/etc/x.jpg")), ": images[0].file_name"),
    "no name": (edited(lambda c: c["images"][0].update(file_name="")), ": images[0].file_name"),
    "huge": (edited(lambda c: c["images"][0].update(height=10**9)), ": images[0]"),
    "crowd": (edited(lambda c: c["annotations"][0].update(iscrowd="no")), ": annotations[0].iscrowd"),
    "outline": (edited(lambda c: c["annotations"][0].update(segmentation=3)), ": annotations[0].segmentation"),
    "no object": (edited(lambda c: c["annotations"].insert(0, 7)), ": annotations[0]"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str, coco: Path, error_of: ErrorOf) -> None:
    edit, subject = BROKEN[name]
    path = coco / TRAIN
    path.write_text(edit(path.read_text()), encoding="utf-8")
    error = error_of(coco)
    assert error.subject == f"{path}{subject}"


def test_no_option_is_ignored(coco: Path, error_of: ErrorOf) -> None:
    assert error_of(coco, annotations={"fit": TRAIN}, images={"fit": "train2014"}, year=2014).subject == "data.year"
    error = error_of(coco, images={"tran": "train2014"}, splits=["val"])
    assert (error.subject, error.found, error.allowed) == ("data.images", "tran", ("train", "val"))
    assert error_of(coco, annotations={}).subject == "data.annotations"
    assert error_of(coco, splits=[]).subject == "data.splits"


def test_missing_images(coco: Path, open_at: Open, error_of: ErrorOf, tmp_path: Path) -> None:
    from wsss.data.readers.registry import open_dataset

    gone = coco / "train2014" / "COCO_train2014_000000000002.jpg"
    gone.unlink()
    assert error_of(coco).subject == str(gone)
    (gone.with_name("COCO_train2014_000000000003.jpg")).unlink()
    assert error_of(coco).problem.startswith("2 of 4 images listed in")
    assert len(open_at(coco, splits=["val"]).split("val")) == 1
    data = open_dataset({"root": str(coco)}, work=tmp_path, complete=False)
    assert sorted(name[-1] for name in data.missing) == ["2", "3"] and len(data.split("train")) == 4


@pytest.mark.parametrize(
    "outline",
    [
        [[1, 2, 3, 4, 5, 6, 7]],
        [["a"] * 6],
        [["1"] * 6],
        [[True] * 6],
        [[10**400] * 6],
        [[1e9] * 6],
        [[[1, 2], [3, 4], [5, 1]]],
        {"size": [1, 2], "counts": "0"},
    ],
)
def test_broken_outlines(outline: object, coco: Path, open_at: Open) -> None:
    path = coco / TRAIN
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = outline
    path.write_text(json.dumps(content))
    data = open_at(coco)
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(data.split("train")[0], data.classes)
    assert str(error.value.subject).startswith(f"{path}: image 1, annotation")


def test_other_categories_in_another_split(coco: Path, error_of: ErrorOf, open_at: Open) -> None:
    path = coco / TRAIN
    path.write_text(edited(lambda c: c["categories"][0].update(name="human"))(path.read_text()))
    assert error_of(coco).subject == str(coco / "annotations/instances_val2014.json")
    assert open_at(coco, splits=["train"]).classes.names[1] == "human"


def test_category_named_background(coco: Path, error_of: ErrorOf, open_at: Open) -> None:
    path = coco / TRAIN
    path.write_text(edited(lambda c: c["categories"][0].update(name="background"))(path.read_text()))
    error = error_of(coco, splits=["train"])
    assert error.subject == f"{path}: categories" and "data.classes" in str(error.hint)
    data = open_at(coco, splits=["train"], classes=["dog", "book"])
    assert [sample.labels for sample in data.split("train")] == [(1,), (), (), (2,)]


def test_ids_of_two_images(coco: Path, error_of: ErrorOf) -> None:
    image = coco / "val2014" / "COCO_train2014_000000000001.jpg"
    write_png(image, np.zeros((*SIZE, 3), np.uint8))
    path = coco / "annotations/instances_val2014.json"
    path.write_text(edited(lambda c: c["images"][0].update(file_name=image.name))(path.read_text()))
    assert "'COCO_train2014_000000000001'" in error_of(coco).problem
