"""Datasets: splits, ground truth, and validation of all files of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learning import coloured_dataset

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask, write_mask

CLASSES = Classes(("background", "cat", "pet"), ((0,), (8,), (12, 13)))


def test_splits(tmp_path: Path) -> None:
    a, b = Sample("a", tmp_path / "a.png"), Sample("b", tmp_path / "b.png")
    dataset = Dataset("d", tmp_path, CLASSES, {"train": (a, b), "trainval": (b, a), "val": ()})
    assert dataset.samples(["train", "trainval"]) == (a, b)
    with pytest.raises(InvalidInput) as error:
        dataset.split("val")
    assert error.value.subject == str(tmp_path) and "empty" in error.value.problem
    with pytest.raises(InvalidInput) as error:
        dataset.samples(["trian"])
    assert (error.value.found, error.value.allowed) == ("trian", ("train", "trainval", "val"))


def test_truth(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", np.array([[0, 12]], np.uint8))
    sample = Sample("a", tmp_path / "image.png", mask=tmp_path / "a.png")
    assert read_sample_mask(sample, CLASSES, size=(1, 2)).tolist() == [[0, 2]]
    with pytest.raises(InvalidInput):
        read_sample_mask(sample, CLASSES, size=(2, 1))
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(Sample("b", tmp_path / "b.png"), CLASSES)
    assert error.value.subject == "image b"


def test_unreadable_images_are_all_named(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path, train=4, val=2)
    truncated, missing = (sample.image for sample in data.split("train")[1:3])
    data.read_split("train", "images")
    truncated.write_bytes(truncated.read_bytes()[:100])
    missing.unlink()
    with pytest.raises(InvalidInput) as error:
        data.read_split("train", "images")
    assert [one.subject for one in error.value.errors] == [str(truncated), str(missing)]
    data.read_split("val", "images")
    data.read_split("train", "labels")


def test_masks_must_match_their_images_and_the_classes(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path, train=4, val=0)
    samples = data.split("train")
    data.read_split("train", "masks")
    small, unknown = (sample.mask for sample in samples[:2])
    assert small is not None and unknown is not None
    write_mask(small, read_mask(small)[:-1])
    write_mask(unknown, np.full_like(read_mask(unknown), 7))
    samples[2].image.write_bytes(b"")  # reported with the images
    with pytest.raises(InvalidInput) as error:
        data.read_split("train", "masks")
    of_size, of_value = error.value.errors
    assert (of_size.subject, of_size.found) == (str(small), "44×35")
    assert (of_value.subject, of_value.found) == (str(unknown), [7])
