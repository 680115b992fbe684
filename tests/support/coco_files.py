"""Small datasets in the layout of COCO, with its 80 categories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsss.data.class_list import read_class_list
from wsss.io.rasters.rgb_images import write_png
from wsss.io.rasters.rle import coco_rle, runs

UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
"""Numbers up to 90 that are not the id of any category."""

IDS = [number for number in range(1, 91) if number not in UNUSED]
NAMES = read_class_list(Path(__file__).parents[2] / "data" / "classes" / "coco.txt")
CATEGORIES = dict(zip(IDS, NAMES, strict=True))

SIZE = (24, 32)
"""Height and width of the images of `write_small_coco`."""

TRAIN = "annotations/instances_train2014.json"
"""File of the training split of `write_small_coco`."""


def square(left: float, top: float, side: float) -> list[float]:
    """Return the outline of a square."""
    return [left, top, left + side, top, left + side, top + side, left, top + side]


def write_small_coco(root: Path) -> Path:
    """Write four training images (dog and person; none; crowd of persons; book as run lengths), and one of val."""
    crowd = np.zeros(SIZE, bool)
    crowd[4:8, 3:20] = True
    annotations = {
        "train": [
            annotation(1, 18, [square(2, 2, 14)]),
            annotation(1, 1, [square(8, 8, 6), square(20, 1, 3.5)]),
            annotation(3, 1, rle(crowd), iscrowd=1),
            annotation(4, 84, rle(crowd.T[:24, :].repeat(2, axis=1)[:, : SIZE[1]], text=True)),
        ],
        "val": [annotation(7, 90, [[1.5, 1.5, 20.25, 3.75, 9, 22.1]])],
    }
    return write_coco(root, {"train": (1, 2, 3, 4), "val": (7,)}, annotations, size=SIZE)


def annotation(image: int, category: int, outline: Any, *, iscrowd: int = 0) -> dict[str, Any]:
    """Return an annotation; its ``id`` is set by `write_coco`."""
    return {"image_id": image, "category_id": category, "segmentation": outline, "iscrowd": iscrowd}


def rle(region: np.ndarray, *, text: bool = False) -> dict[str, Any]:
    """Return the run lengths of a region, as numbers (COCO's crowds) or as text."""
    if text:
        return coco_rle(region)
    return {"size": list(region.shape), "counts": runs(region.ravel(order="F")).tolist()}


def write_coco(
    root: Path,
    images: Mapping[str, Iterable[int]],
    annotations: Mapping[str, Sequence[dict[str, Any]]],
    *,
    size: tuple[int, int],
    year: int = 2014,
    pixels: Mapping[int, np.ndarray] | None = None,
) -> Path:
    """Write images (grey ones, or ``pixels``) and annotations, with keys in the order of COCO's files.

    The images are PNGs with COCO's names, which end in .jpg.
    """
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for split, numbers in images.items():
        records = []
        for number in numbers:
            prefix = f"COCO_{split}2014_" if year == 2014 else ""
            name = f"{prefix}{number:012}.jpg"
            picture = (pixels or {}).get(number, np.full((*size, 3), number % 256, np.uint8))
            write_png(root / f"{split}{year}" / name, picture)
            records.append({"id": number, "file_name": name, "height": size[0], "width": size[1], "license": 1})
        document = {
            "info": {},
            "images": records,
            "licenses": [],
            "annotations": [{**one, "id": number} for number, one in enumerate(annotations[split], start=1)],
            "categories": [{"supercategory": "", "id": id, "name": name} for id, name in CATEGORIES.items()],
        }
        (root / "annotations" / f"instances_{split}{year}.json").write_text(json.dumps(document))
    return root
