"""Small datasets of every layout, written file by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import write_small_coco

from wsss.data.dataset import Dataset
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png

SIZE = (12, 16)


@pytest.fixture
def lines() -> list[str]:
    """Lines logged by the readers."""
    return []


@pytest.fixture
def open_at(tmp_path: Path, lines: list[str]) -> Callable[..., Dataset]:
    """Return a function that opens a dataset: ``open_at(root, **keys_of_data)``."""

    def opened(root: Path, **config: Any) -> Dataset:
        return open_dataset({"root": str(root), **config}, work=tmp_path / "work", log=lines.append)

    return opened


@pytest.fixture
def error_of(open_at: Callable[..., Dataset]) -> Callable[..., InvalidInput]:
    """Return a function that returns the error of ``open_at``."""

    def error_of(root: Path, **config: Any) -> InvalidInput:
        with pytest.raises(InvalidInput) as error:
            open_at(root, **config)
        return error.value

    return error_of


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def mask_of(*values: int) -> np.ndarray:
    """Return a mask of vertical bands; the first is background."""
    mask = np.zeros(SIZE, np.uint8)
    for position, value in enumerate(values, start=1):
        mask[:, 3 * position : 3 * position + 3] = value
    return mask


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """VOC layout: a (cat), b (dog and person), c (car) for training, d (cat) for validation."""
    root = tmp_path / "voc"
    values = {"a": (8,), "b": (12, 15), "c": (7,), "d": (8,)}
    for seed, (name, ids) in enumerate(values.items()):
        write_png(root / "JPEGImages" / f"{name}.png", picture(seed))
        write_mask(root / "SegmentationClass" / f"{name}.png", mask_of(*ids))
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\nc\n")
    (lists / "val.txt").write_text("d\n")
    (root / "image_labels.csv").write_text("image_id,labels\na,cat\nb,dog person\nc,car\nd,cat\n")
    return root


@pytest.fixture
def data(voc: Path, open_at: Callable[..., Dataset]) -> Dataset:
    """Two classes of `voc`; modules with other data have a fixture of the same name."""
    return open_at(voc, classes=["cat", "dog"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain folder: ten images i0 … i9, sun on the even ones, moon on every third, both on i0 and i6."""
    root = tmp_path / "folder"
    rows = ["image_id,labels"]
    for number in range(10):
        write_png(root / "images" / f"i{number}.png", picture(number))
        names = [name for name, step in (("sun", 2), ("moon", 3)) if number % step == 0]
        rows.append(f"i{number},{' '.join(names)}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """COCO layout: see `coco_files.write_small_coco`."""
    return write_small_coco(tmp_path / "coco")
