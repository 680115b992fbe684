"""Masks for tests of exports: synthetic ones with difficult shapes, and ground truth of photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shareddata import IS_SHARED, SHARED_DATA

from wsss.data.classes import Classes
from wsss.export.export_items import Item, Masks
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import write_png

CLASSES = Classes(("background", "cat", "dining table", "tv/monitor"), ((0,), (8, 9), (11,), (20,)))


def made_masks(folder: Path) -> Masks:
    """Return four masks; one is empty, and one has a single class everywhere."""
    pictures = {
        "a": _picture(0),
        "b.2": _picture(1),
        "kühe": np.zeros((9, 7), np.uint8),
        "d": np.full((5, 6), 8, np.uint8),
    }
    items = []
    for name, mask in pictures.items():
        write_mask(folder / "masks" / f"{name}.png", mask)
        image = np.random.default_rng(len(name)).integers(0, 255, (*mask.shape, 3), dtype=np.uint8)
        write_png(folder / "images" / f"{name}.png", image)
        splits = ("val",) if name == "d" else ("train", "all")
        items.append(Item(name, folder / "masks" / f"{name}.png", folder / "images" / f"{name}.png", splits))
    return Masks("made", CLASSES, tuple(items))


def _picture(number: int) -> NDArray[np.uint8]:
    """Return a mask with holes, diagonals, specks, thin lines, regions at the border, and uncertain pixels."""
    generator = np.random.default_rng(number)
    mask = np.zeros((37 + 5 * number, 50 - 4 * number), np.uint8)
    mask[3:20, 4:25] = 8
    mask[8:12, 9:14] = 0
    mask[9, 10] = 11
    mask[12, 14] = mask[13, 15] = 0
    mask[25:, 30:] = 20
    mask[0, :] = 11
    mask[:, 0] = 255
    mask[20:24, 3:30] = generator.choice([0, 8, 11, 20, 255], (4, 27))
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    mask[(rows - 30) ** 2 + (columns - 12) ** 2 < 30] = 11
    mask[-1, -1] = 8
    return mask


def photographs_masks() -> Masks:
    """Return six ground-truth masks of photographs, with and without uncertain borders."""
    if not IS_SHARED:
        pytest.skip("needs WSSS_SHARED_DATA")
    from wsss.data.readers.registry import open_dataset

    root = SHARED_DATA / "voc_animals"
    data = open_dataset({"root": root}, work=Path("unused"))
    samples = [*data.split("train")[::90][:3], *data.split("val")[::40]]
    assert len(samples) == 6
    items = [Item(sample.id, sample.mask, sample.image, ("train",)) for sample in samples if sample.mask is not None]
    return Masks("voc_animals", data.classes, tuple(items))


def truth(masks: Masks) -> dict[str, NDArray[np.uint8]]:
    """Return id → mask, with values on disk."""
    return {item.id: read_mask(item.mask) for item in masks.items}


def values(masks: Masks) -> dict[str, int]:
    """Return class name → value on disk."""
    named = dict(zip(masks.classes.names, (value[0] for value in masks.classes.values), strict=True))
    return {**named, "ignore": 255}
