"""Classes and datasets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.sample import Classes, Dataset, Sample, read_truth
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import write_mask

CLASSES = Classes(("background", "cat", "pet"), ((0,), (8,), (12, 13)), other=frozenset({20}), other_as=255)


@given(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1, max_size=30))
def test_encode_undoes_decode(indices: list[int]) -> None:
    mask = np.array([indices], np.uint8)
    assert np.array_equal(CLASSES.encode(CLASSES.decode(mask), where="m"), mask)


def test_encode_merges_ignores_and_refuses() -> None:
    mask = np.array([[0, 8, 12, 13, 20, 255]], np.uint8)
    assert CLASSES.encode(mask, where="m").tolist() == [[0, 1, 2, 2, 255, 255]]
    with pytest.raises(InvalidInput, match=r"m: mask value 9 stands for no class; allowed are 0, 8, 12, 13, 20, 255"):
        CLASSES.encode(np.array([[9, 8]], np.uint8), where="m")


def test_classes_survive_json() -> None:
    assert Classes.from_json(json.loads(json.dumps(CLASSES.to_json()))) == CLASSES


def test_index_names_the_closest_class() -> None:
    assert CLASSES.index("pet") == 2 and CLASSES.foreground == ("cat", "pet") and len(CLASSES) == 3
    for wrong in ("cats", "background"):
        with pytest.raises(InvalidInput, match=f"Unknown class '{wrong}'; the classes are cat, pet"):
            CLASSES.index(wrong)


def test_splits_of_a_dataset(tmp_path: Path) -> None:
    a, b = Sample("a", tmp_path / "a.png"), Sample("b", tmp_path / "b.png")
    dataset = Dataset("d", tmp_path, CLASSES, {"train": (a, b), "trainval": (b, a), "val": ()})
    assert dataset.samples(["train", "trainval"]) == (a, b)
    with pytest.raises(InvalidInput, match="split 'val' is empty"):
        dataset.split("val")
    with pytest.raises(InvalidInput, match="no split 'trian'; there are train, trainval, val; did you mean 'train'"):
        dataset.samples(["trian"])


def test_truth_is_checked_and_encoded(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", np.array([[0, 12]], np.uint8))
    sample = Sample("a", tmp_path / "image.png", mask=tmp_path / "a.png")
    assert read_truth(sample, CLASSES, size=(1, 2)).tolist() == [[0, 2]]
    with pytest.raises(InvalidInput, match="differ in size"):
        read_truth(sample, CLASSES, size=(2, 1))
    with pytest.raises(InvalidInput, match="Image b has no ground-truth mask"):
        read_truth(Sample("b", tmp_path / "b.png"), CLASSES)
