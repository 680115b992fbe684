"""Reading a split once: every damaged file is named, whatever kind of damage it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learning import coloured_dataset

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask, write_mask


def test_all_damaged_images_of_a_split_are_named(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path, train=4, val=2)
    one, other = (sample.image for sample in data.split("train")[1:3])
    data.read_split("train", "images")
    one.write_bytes(one.read_bytes()[:100])
    other.unlink()
    with pytest.raises(InvalidInput, match="2 of 4 images of split 'train' can't be read") as caught:
        data.read_split("train", "images")
    assert str(one) in caught.value.message and str(other) in caught.value.message
    data.read_split("val", "images")
    data.read_split("train", "labels")


def test_masks_must_fit_their_images_and_classes(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path, train=4, val=0)
    samples = data.split("train")
    data.read_split("train", "masks")
    paths = [sample.mask for sample in samples if sample.mask is not None]
    write_mask(paths[0], read_mask(paths[0])[:-1])
    write_mask(paths[1], np.full_like(read_mask(paths[1]), 7))
    samples[2].image.write_bytes(b"")  # found with the images
    with pytest.raises(InvalidInput, match="2 of 4 masks of split 'train' can't be read") as caught:
        data.read_split("train", "masks")
    assert f"{paths[0]}: the mask is 44×35" in caught.value.message
    assert f"{paths[1]}: mask value 7 stands for no class" in caught.value.message
