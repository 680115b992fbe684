"""Readers of the export formats, independent of the writers and based on the specifications of the formats."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def brush_layer(rle: list[int], width: int, height: int) -> NDArray[np.uint8]:
    """Decode the RGBA image ``(H, W, 4)`` of a Label Studio region (rle-pack)."""
    bits = "".join(f"{byte:08b}" for byte in rle)
    position = 0

    def take(count: int) -> int:
        nonlocal position
        position += count
        return int(bits[position - count : position], 2)

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        repeated = take(1)
        length = take(sizes[take(2)]) + 1
        values += [take(word)] * length if repeated else [take(word) for _ in range(length)]
    assert len(values) == total and len(bits) - position < 8
    return np.array(values, np.uint8).reshape(height, width, 4)


def label_studio_masks(folder: Path, values: dict[str, int], role: str = "predictions") -> dict[str, NDArray[np.uint8]]:
    """Return image id → mask with the values of the labels."""
    masks_by_id = {}
    for task in json.loads((folder / "tasks.json").read_text(encoding="utf-8")):
        [one] = task[role]
        masks = []
        for region in one["result"]:
            height, width = region["original_height"], region["original_width"]
            layer = brush_layer(region["value"]["rle"], width, height)
            assert region["type"] == "brushlabels" and region["value"]["format"] == "rle"
            assert set(np.unique(layer)) <= {0, 255} and (layer == layer[..., :1]).all()
            [label] = region["value"]["brushlabels"]
            masks.append((values[label], layer[..., 3] > 0))
        if masks:  # the format has no size of masks without regions
            masks_by_id[task["data"]["image_id"]] = _merged(masks)
    return masks_by_id


def coco_masks(path: Path) -> dict[str, NDArray[np.uint8]]:
    """Return file name → mask of category ids from pycocotools; validates areas, boxes and sizes."""
    from pycocotools import mask as tool
    from pycocotools.coco import COCO

    coco = COCO(str(path))
    masks_by_name = {}
    for number, image in coco.imgs.items():
        masks = [(0, np.zeros((image["height"], image["width"]), bool))]
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[number])):
            pixels = coco.annToMask(annotation).astype(bool)
            assert annotation["segmentation"]["size"] == [image["height"], image["width"]]
            assert annotation["area"] == tool.area(coco.annToRLE(annotation)) == pixels.sum()
            assert annotation["bbox"] == tool.toBbox(coco.annToRLE(annotation)).tolist()
            masks.append((annotation["category_id"], pixels))
        masks_by_name[image["file_name"]] = _merged(masks)
    return masks_by_name


def cvat_masks(path: Path, values: dict[str, int]) -> tuple[dict[str, NDArray[np.uint8]], dict[str, NDArray[np.int64]]]:
    """Return image id → mask, and image id → object numbers, of a Segmentation mask 1.1 archive."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        lines = archive.read("labelmap.txt").decode().splitlines()
        colours = {}
        for line in lines:
            if not line.startswith("#"):
                name, colour, _, _ = line.split(":")
                colours[tuple(map(int, colour.split(",")))] = values[name]
        ids = archive.read("ImageSets/Segmentation/default.txt").decode().splitlines()
        classes, objects = {}, {}
        for one in ids:
            picture = np.array(Image.open(io.BytesIO(archive.read(f"SegmentationClass/{one}.png"))))
            assert picture.shape[2] == 3
            mask = np.full(picture.shape[:2], 77, np.uint8)
            for colour, value in colours.items():
                mask[(picture == colour).all(2)] = value
            classes[one] = mask
            numbers = np.array(Image.open(io.BytesIO(archive.read(f"SegmentationObject/{one}.png")))).astype(np.int64)
            objects[one] = numbers @ [1, 256, 65536]
    return classes, objects


def polygon_mask(path: Path, values: dict[str, int]) -> NDArray[np.uint8]:
    """Return the mask of a polygon file, rasterised at pixel centres by scikit-image's point-in-polygon test."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert document["type"] == "FeatureCollection"
    height, width = document["height"], document["width"]
    masks = [(0, np.zeros((height, width), bool))]
    for feature in document["features"]:
        assert feature["type"] == "Feature" and feature["geometry"]["type"] == "MultiPolygon"
        pixels = np.zeros((height, width), bool)
        for outer, *holes in feature["geometry"]["coordinates"]:
            inside = _inside(outer, height, width)
            for hole in holes:
                inside &= ~_inside(hole, height, width)
            pixels |= inside
        masks.append((values[feature["properties"]["class"]], pixels))
    return _merged(masks)


def _inside(ring: list[list[float]], height: int, width: int) -> NDArray[np.bool_]:
    from skimage.measure import points_in_poly

    assert ring[0] == ring[-1] and len(ring) > 3
    corners = np.array(ring, np.float64)[:-1]
    low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    assert (low >= 0).all() and high[0] <= width and high[1] <= height
    columns, rows = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    points = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = np.zeros((height, width), bool)
    inside[low[1] : high[1], low[0] : high[0]] = points_in_poly(points, corners).reshape(rows.shape)
    return inside


def voc_labelmap(path: Path) -> dict[str, tuple[int, int, int]]:
    """Return class name → colour of a ``labelmap.txt``."""
    lines = re.findall(r"^([^#:\n][^:\n]*):(\d+),(\d+),(\d+)::$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (int(red), int(green), int(blue)) for name, red, green, blue in lines}


def _merged(masks: list[tuple[int, NDArray[np.bool_]]]) -> NDArray[np.uint8]:
    """Merge the masks of objects, which must not overlap."""
    merged = np.zeros(masks[0][1].shape, np.uint8)
    covered = np.zeros(merged.shape, bool)
    for value, pixels in masks:
        assert not (covered & pixels).any()
        covered |= pixels
        merged[pixels] = value
    return merged
