"""Small valid annotations of one image, ``a.png`` of 16×12 pixels with the classes cat and dog."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from wsss.io.rasters.rle import brush_rle, coco_rle

WIDTH, HEIGHT = 16, 12


def documents() -> dict[str, Any]:
    """Return file name → content: a JSON document, or the text of an XML file."""
    region = np.zeros((HEIGHT, WIDTH), bool)
    region[2:5, 3:9] = True
    picture = io.BytesIO()
    Image.fromarray(region[2:5, 3:9]).save(picture, "PNG")
    mask = base64.b64encode(picture.getvalue()).decode()
    return {
        "coco.json": _coco(region),
        "tasks.json": _tasks(region),
        "labelme.json": {
            "imagePath": "a.png",
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
            "shapes": [
                {"label": "cat", "shape_type": "mask", "points": [[3, 2], [8, 4]], "mask": mask},
                *(
                    {"label": "dog", "shape_type": kind, "points": [[3, 2], [8, 4]]}
                    for kind in ("circle", "rectangle", "line", "linestrip", "point")
                ),
                {"label": "dog", "shape_type": "polygon", "points": [[3, 2], [8, 4], [1, 1]]},
            ],
        },
        "a.geojson": {
            "type": "FeatureCollection",
            "image_id": "a",
            "image": "a.png",
            "width": WIDTH,
            "height": HEIGHT,
            "features": [
                {
                    "properties": {"class": "cat"},
                    "geometry": {"type": "MultiPolygon", "coordinates": [[[[1, 1], [4, 1], [4, 4], [1, 1]]]]},
                }
            ],
        },
        "annotations.xml": (
            f'<annotations><image name="a.png" width="{WIDTH}" height="{HEIGHT}">'
            '<mask label="cat" rle="0,4,2" left="1" top="1" width="3" height="2" />'
            '<polygon label="dog" points="1,1;4,1;4,4" z_order="1" />'
            '<box label="cat" xtl="1" ytl="1" xbr="3" ybr="3" rotation="4" />'
            '<ellipse label="cat" cx="4" cy="4" rx="2" ry="2" /><points label="cat" points="1,1" />'
            '<polyline label="cat" points="1,1;3,3" /></image></annotations>'
        ),
    }


def _coco(region: np.ndarray) -> dict[str, Any]:
    one = {"image_id": 1, "category_id": 8}
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 8, "name": "cat"}, {"id": 12, "name": "dog"}],
        "annotations": [
            {**one, "segmentation": coco_rle(region)},
            {**one, "segmentation": [[1, 1, 5, 1, 5, 5]]},
            {**one, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [20, 5, 167]}},
            {**one, "bbox": [1, 2, 3, 4]},
        ],
    }


def _tasks(region: np.ndarray) -> list[dict[str, Any]]:
    corner = {"x": 20, "y": 30, "rotation": 3}
    values: dict[str, dict[str, Any]] = {
        "brushlabels": {"rle": brush_rle(region)},
        "polygonlabels": {"points": [[1, 1], [50, 1], [50, 50]]},
        "ellipselabels": {**corner, "radiusX": 10, "radiusY": 10},
        "keypointlabels": {**corner, "width": 1},
        "rectanglelabels": {**corner, "width": 10, "height": 10},
    }
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    results = [{"type": kind, **size, "value": {**value, kind: ["cat"]}} for kind, value in values.items()]
    return [{"data": {"image": "a.png", "image_id": "a"}, "annotations": [{"result": results}]}]
