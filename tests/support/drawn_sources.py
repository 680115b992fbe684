"""Sources of masks with shapes drawn on one image, ``a.png`` of 16×12 pixels, and their import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsss.data.corrections.correction_folder import open_corrections
from wsss.data.corrections.drawing_rules import DrawingRules
from wsss.data.corrections.import_masks import ImportOptions, import_masks
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput

HEIGHT, WIDTH = SIZE = (12, 16)


CAT, DOG, UNLABELLED = 1, 2, 255


def coco(folder: Path, *annotations: dict[str, Any], **image: Any) -> Path:
    path = folder / "coco.json"
    images = [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH, **image}]
    categories = [{"id": number, "name": name} for number, name in enumerate(("cat", "dog", "cow"))]
    listed = [{"image_id": 1, "category_id": 0, **one} for one in annotations]
    path.write_text(json.dumps({"images": images, "annotations": listed, "categories": categories}))
    return path


def cvat(folder: Path, *shapes: str, name: str = "a.png") -> Path:
    path = folder / "annotations.xml"
    image = f'<image name="{name}" width="{WIDTH}" height="{HEIGHT}">{"".join(shapes)}</image>'
    path.write_text(f"<annotations>{image}</annotations>")
    return path


def studio(folder: Path, *results: dict[str, Any], **task: Any) -> Path:
    path = folder / "tasks.json"
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    annotations = [{"result": [{**size, **one} for one in results]}]
    path.write_text(
        json.dumps([{"data": {"image": "/data/upload/1/01234567-a.png"}, "annotations": annotations} | task])
    )
    return path


def labelme(folder: Path, *shapes: dict[str, Any], **more: Any) -> Path:
    path = folder / "a.json"
    path.write_text(
        json.dumps({"imagePath": "a.png", "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": shapes} | more)
    )
    return path


def imported(source: Path, data: Dataset, folder: Path, **rules: Any) -> np.ndarray:
    result = import_masks(source, data, folder / "c", ImportOptions(rules=DrawingRules(**rules)))
    mask = open_corrections(folder / "c", data.classes).read("a", SIZE)
    assert mask is not None and list(result.ids) == ["a"]
    return mask


def error_of(source: Path, data: Dataset, folder: Path, **options: Any) -> InvalidInput:
    """Return the error of an import; nothing may be written."""
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    with pytest.raises(InvalidInput) as caught:
        import_masks(source, data, folder / "c", ImportOptions(**options))
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before
    return caught.value


RECTANGLE = [[2, 1], [6, 1], [6, 4], [2, 4]]


def rectangle(value: int, outside: int = 0) -> np.ndarray:
    mask = np.full(SIZE, outside, np.uint8)
    mask[1:4, 2:6] = value
    return mask


def percent(points: list[list[int]]) -> list[list[float]]:
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]


CVAT_POLYGON = '<polygon label="cat" points="2,1;6,1;6,4;2,4" />'


LABELME_POLYGON = {"label": "cat", "shape_type": "polygon", "points": RECTANGLE}


COCO_POLYGON = {"segmentation": [[2, 1, 6, 1, 6, 4, 2, 4]]}


COCO_BOX = {"bbox": [2, 1, 4, 3]}


def studio_polygon(label: str = "cat", **more: Any) -> dict[str, Any]:
    value = {"points": percent(RECTANGLE), "polygonlabels": [label]}
    return {"type": "polygonlabels", "value": value, **more}
