"""Regressions: each of these inputs was once misread silently, or ended in an unexpected error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from labelfiles import by_image, noted

from wsss.data.importers.gather import gather
from wsss.data.importers.importer_registry import read_labels
from wsss.data.importers.project import plan_project, write_project
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.read_context import ReadOptions
from wsss.data.readers.label_rules import Rules
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png


def read(folder: Path, text: str, how: ReadOptions | None = None, *, name: str = "l.csv") -> Labels:
    (folder / name).write_text(text, encoding="utf-8")
    return read_labels(folder, [], folder / name, how)


def splits(labels: Labels) -> list[str | None]:
    return [entry.split for entry in labels.entries]


def test_an_unknown_class_with_a_space_in_its_name_is_written_and_read(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        write_png(tmp_path / "i" / f"{name}.png", np.full((8, 8, 3), number, np.uint8))
    (tmp_path / "l.csv").write_text("image,dining table,cat\na.png,?,0\nb.png,1,0\nc.png,0,1\n")
    project = plan_project(gather(tmp_path / "i", tmp_path / "l.csv"), tmp_path / "o", name="x", val_fraction=0)
    write_project(project)
    config = {"layout": "folder", "root": str(tmp_path / "o"), "images": str(tmp_path / "i")}
    data = open_dataset({**config, "labels": "image_labels.csv"}, work=tmp_path / "w")
    assert {sample.id: sample.unknown for sample in data.split("train")}["a"] == (1,)


@pytest.mark.parametrize("lines", [False, True])
def test_a_confidence_of_0_is_absence_in_json_too(tmp_path: Path, lines: bool) -> None:
    records = [{"image": "a.jpg", "label": "cat", "confidence": 0}, {"image": "b.jpg", "label": "cat", "confidence": 1}]
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    labels = read(tmp_path, text, name="l.jsonl" if lines else "l.json")
    assert by_image(labels) == {"a.jpg": (), "b.jpg": ("cat",)}


def test_words_of_options_count_in_the_recognition_of_columns(tmp_path: Path) -> None:
    text = "image,cat,dog\na,todo,1\nb,todo,0\nc,1,1\nd,todo,0\n"
    labels = read(tmp_path, text, ReadOptions(rules=Rules(unknown=("todo",))))
    assert labels.classes == ("cat", "dog") and labels.entries[0].unknown == ("cat",)


def test_decimals_are_0_and_1(tmp_path: Path) -> None:
    labels = read(tmp_path, "image,cat,dog\na,1.00,0.00\nb,0.000,1.0\n")
    assert by_image(labels) == {"a": ("cat",), "b": ("dog",)}


def test_a_soft_column_beside_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        read(tmp_path, "image,cat,dog\na,1,0.3\nb,0,0.9\n")
    assert "'dog'" in str(error.value.subject) and "--label-key" in str(error.value.hint)
    assert read(tmp_path, "image,cat,dog\na,1,0.3\nb,0,0.9\n", ReadOptions(label_key="cat,cat")).classes == ("cat",)


def test_records_may_lack_a_key_of_a_class(tmp_path: Path) -> None:
    text = json.dumps([{"image": "a", "cat": 1}, {"image": "b", "cat": 0, "dog": 1}])
    labels = read(tmp_path, text, ReadOptions(label_key="cat,dog"), name="l.json")
    assert by_image(labels) == {"a": ("cat",), "b": ("dog",)}


def test_splits_are_read_by_every_reader(tmp_path: Path) -> None:
    tasks = [
        {"data": {"image": f"{i}.jpg", "split": split}, "annotations": [{"result": [{"value": {"choices": [i]}}]}]}
        for i, split in (("a", "train"), ("b", "val"))
    ]
    assert splits(read(tmp_path, json.dumps(tasks), name="t.json")) == ["train", "val"]
    assert splits(read(tmp_path, "fname,labels,is_valid\na.jpg,cat,False\nb.jpg,dog,True\n")) == ["train", "val"]
    records = [{"image": "a", "label": "cat", "is_valid": False}, {"image": "b", "label": "dog", "is_valid": True}]
    assert splits(read(tmp_path, json.dumps(records), name="r.json")) == ["train", "val"]
    with pytest.raises(InvalidInput) as error:
        read(tmp_path, "image,labels,is_valid\na.jpg,cat,?\n")
    assert error.value.found == "?"


def test_an_image_in_two_splits_is_refused_with_confidences_too(tmp_path: Path) -> None:
    for text, found in (
        ("image,label,confidence,split\na,cat,1,train\na,dog,0,test\n", "test"),
        ("image,label,split\na,cat,train\na,dog,\n", "no split"),
    ):
        with pytest.raises(InvalidInput) as error:
            read(tmp_path, text)
        assert error.value.found == found and str(error.value.allowed).startswith("train, as at")


def test_an_absent_ok_leaves_the_class_unknown(tmp_path: Path) -> None:
    labels = read(tmp_path, "image,label,confidence\na,ok,0\nb,ok,1\nc,crack,1\n")
    assert by_image(labels) == {"a": None, "b": (), "c": ("crack",)}


def test_labels_in_another_order_are_equal(tmp_path: Path) -> None:
    labels = read(tmp_path, "image,labels\na,cat;dog\na,dog;cat\n")
    assert not noted(labels, "different labels")


def test_soft_labels_in_one_column(tmp_path: Path) -> None:
    text = "image,label\na,0.1\nb,0.9\nc,0.0\n"
    with pytest.raises(InvalidInput) as error:
        read(tmp_path, text)
    assert error.value.found == "0.1" and "--soft-threshold" in str(error.value.hint)
    labels = read(tmp_path, text, ReadOptions(rules=Rules(soft=(0.4, 0.5))))
    assert by_image(labels) == {"a": (), "b": ("label",), "c": ()}


def test_a_threshold_without_soft_labels_is_refused(tmp_path: Path) -> None:
    for text in ("image,label\na,cat\nb,\n", "image,cat,dog\na,1,0\n"):
        with pytest.raises(InvalidInput) as error:
            read(tmp_path, text, ReadOptions(rules=Rules(soft=(0.4, 0.5))))
        assert str(error.value.subject).endswith("--soft-threshold")


def test_two_classes_that_exclude_each_other_are_noted(tmp_path: Path) -> None:
    for number in range(4):
        write_png(tmp_path / "i" / f"{number}.png", np.full((8, 8, 3), number, np.uint8))
    for words, exclusive in (("PASS FAIL PASS FAIL", True), ("ok crack ok dent", False), ("a b c a", False)):
        rows = [f"{number}.png,{word}" for number, word in enumerate(words.split())]
        (tmp_path / "l.csv").write_text("\n".join(["image,label", *rows]) + "\n")
        gathered = gather(tmp_path / "i", tmp_path / "l.csv")
        report = plan_project(gathered, tmp_path / "o", name="x", val_fraction=0).report
        assert any(finding.kind.startswith("two classes") for finding in report.notes) is exclusive, words
