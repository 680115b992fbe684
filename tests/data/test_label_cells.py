"""Label tables of a dataset: unknown labels, words for no class, and the keys that change their meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsss.data.dataset import Dataset
from wsss.data.readers.label_tables import join_labels, split_labels
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcd":
        write_png(tmp_path / "d" / "images" / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
    return tmp_path / "d"


def open_table(folder: Path, rows: str, log: list[str] | None = None, **config: Any) -> Dataset:
    (folder / "labels.csv").write_text(f"image_id,labels\n{rows}")
    data = {"layout": "folder", "root": str(folder), "val_fraction": 0, **config}
    return open_dataset(data, work=folder / "w", log=(log if log is not None else []).append)


def labels(data: Dataset) -> dict[str, tuple[tuple[int, ...] | None, tuple[int, ...]]]:
    """Return id → labels and unknown classes of the images with a row in the table."""
    rows = {line.partition(",")[0] for line in (data.root / "labels.csv").read_text().splitlines()}
    every = data.samples(tuple(data.splits))
    return {sample.id: (sample.labels, sample.unknown) for sample in every if sample.id in rows}


def test_marks_and_words(folder: Path) -> None:
    log: list[str] = []
    data = open_table(folder, "a,cat;?dog\nb,ok\nc,?\nd,dog\n", log)
    assert data.classes.foreground == ("cat", "dog")
    assert labels(data) == {"a": ((1,), (2,)), "b": ((), ()), "c": (None, ()), "d": ((2,), ())}
    assert any("'ok'" in line and "data.negative" in line for line in log) and any("'?'" in line for line in log)


@pytest.mark.parametrize("listed", [False, True])
def test_commas_separate_labels(folder: Path, listed: bool) -> None:
    if listed:
        (folder / "classes.txt").write_text("cat\ndog\n")
    data = open_table(folder, 'a,"cat,dog"\nb,"cat, dog"\nc,"?cat, dog,"\nd,cat dog\n')
    assert data.classes.foreground == ("cat", "dog")
    assert labels(data) == {"a": ((1, 2), ()), "b": ((1, 2), ()), "c": ((2,), (1,)), "d": ((1, 2), ())}


def test_class_names_with_a_comma(folder: Path) -> None:
    (folder / "classes.txt").write_text("lamp,floor\nlamp, table\ncat\n")
    rows = 'a,"lamp,floor cat"\nb,"?lamp, table"\nc,"lamp, table;cat"\nd,"lamp,floor"\n'
    expected = {"a": ((1, 3), ()), "b": ((), (2,)), "c": ((2, 3), ()), "d": ((1,), ())}
    assert labels(open_table(folder, rows)) == expected


@pytest.mark.parametrize("known", [["a,b", "c"], ["a, b", "c d"], ["a|b", "c"], ["a", "c"]])
def test_joined_labels_are_split_into_the_same_names(known: list[str]) -> None:
    for names in (known[:1], known[1:], known):
        assert split_labels(join_labels(names, known), known) == names
        assert split_labels(join_labels(names, known), ()) == names


def test_an_image_with_nothing_but_unknown_classes_is_unlabelled(folder: Path) -> None:
    rows = "a,?cat;?dog\nb,?cat\nc,dog;?cat\nd,\n"
    assert labels(open_table(folder, rows)) == {"a": (None, ()), "b": ((), (1,)), "c": ((2,), (1,)), "d": ((), ())}
    (folder / "classes.txt").write_text("cat\ndog\n")
    assert labels(open_table(folder, rows, classes=["cat"]))["b"] == (None, ())


def test_images_without_a_known_label_are_not_trained_on(folder: Path) -> None:
    """Unless a list or a column names their split."""
    log: list[str] = []
    data = open_table(folder, "a,?cat\nb,cat\nc,none\nd,?\n", log)
    assert {split: [sample.id for sample in data.split(split)] for split in data.splits} == {
        "train": ["b", "c"],
        "unlabelled": ["a", "d"],
    }
    assert any("2 images without a known label" in line for line in log)
    (folder / "splits").mkdir()
    (folder / "splits/train.txt").write_text("a\nb\n")
    assert [sample.id for sample in open_table(folder, "a,?cat\nb,cat\nc,none\nd,?\n").split("train")] == ["a", "b"]


def test_names_in_the_class_list_are_classes(folder: Path) -> None:
    (folder / "classes.txt").write_text("cat\nok\n")
    data = open_table(folder, "a,cat\nb,ok\nc,none\n")
    assert labels(data) == {"a": ((1,), ()), "b": ((2,), ()), "c": ((), ())}


def test_negative_and_unknown_words(folder: Path) -> None:
    data = open_table(folder, "a,cat\nb,fine\nc,later\n", negative=["fine"], unknown=["later"])
    assert data.classes.foreground == ("cat",) and labels(data) == {"a": ((1,), ()), "b": ((), ()), "c": (None, ())}
    assert open_table(folder, "a,cat\nb,ok\n", negative=[]).classes.foreground == ("cat", "ok")
    with pytest.raises(InvalidInput) as error:
        (folder / "classes.txt").write_text("cat\n")
        open_table(folder, "a,cat\nb,ok\n", negative=[])
    assert str(error.value.subject).endswith("labels.csv:3") and error.value.found == "ok"


def test_unknown_labels_change_the_fingerprint(folder: Path) -> None:
    one = open_table(folder, "a,cat;?dog\nb,dog\n").fingerprint("train", "labels")
    other = open_table(folder, "a,cat\nb,dog\n").fingerprint("train", "labels")
    assert one != other
