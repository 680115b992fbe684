"""COCO: polygons, run-length encodings (compressed or not) and boxes of one JSON file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wsss.data.corrections import outline_drawing
from wsss.data.corrections.drawing_rules import AnnotatedImage, Shape
from wsss.data.corrections.formats.json_values import number, size_in, text
from wsss.data.importers.json.json_file import objects, read_json, wrong_type
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORED_NAMES
from wsss.io.rasters.rle import decoded_rle


def looks_like(content: Any) -> bool:
    """Return whether a JSON document has images, annotations and categories."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def read(path: Path) -> Iterator[AnnotatedImage]:
    """Yield the images of a COCO file. Annotations are painted in their order, ignored pixels last.

    Raises:
        InvalidInput: not a COCO file, or an annotation of an unknown image or category; names file and key.
    """
    content = read_json(path)
    if not looks_like(content):
        raise InvalidInput(
            "not a COCO file", subject=path, allowed="an object with the keys images, annotations and categories"
        )
    names, images = (_by_id(content[key], f"{path}: {key}") for key in ("categories", "images"))
    shapes: dict[Any, list[Shape]] = defaultdict(list)
    for index, annotation in enumerate(objects(content["annotations"], f"{path}: annotations")):
        where = f"{path}: annotations[{index}]"
        for key, known in (("image_id", images), ("category_id", names)):
            if not isinstance(annotation.get(key), int | str) or annotation[key] not in known:
                raise InvalidInput(f"unknown {key}", subject=where, found=annotation.get(key))
        name = text(names[annotation["category_id"]].get("name"), f"{path}: categories.name")
        shapes[annotation["image_id"]].append(_shape(annotation, name, where))
    for id, image in images.items():
        where = f"{path}: image {id}"
        drawn = sorted(shapes[id], key=lambda shape: shape.label in IGNORED_NAMES)
        size = size_in(image, where, height="height", width="width")
        yield AnnotatedImage(text(image.get("file_name"), f"{where}: file_name"), where, drawn, size)


def _by_id(values: Any, where: str) -> dict[int | str, dict[str, Any]]:
    """Return id → object of a list of objects with ids.

    Raises:
        InvalidInput: an id is missing, or a duplicate.
    """
    found: dict[int | str, dict[str, Any]] = {}
    for index, value in enumerate(objects(values, where)):
        id = value.get("id")
        if isinstance(id, bool) or not isinstance(id, int | str):
            raise wrong_type(id, f"{where}[{index}].id", "a number")
        if id in found:
            raise InvalidInput(f"duplicate id {id!r}", subject=f"{where}[{index}]")
        found[id] = value
    return found


def _shape(annotation: dict[str, Any], name: str, where: str) -> Shape:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return Shape(name, "area", where, lambda size, brush: decoded_rle(segmentation, size))
    if isinstance(segmentation, list) and segmentation:
        polygons = [[_ring(flat, f"{where}.segmentation")] for flat in segmentation]  # without holes
        return Shape(name, "area", where, lambda size, brush: outline_drawing.union(polygons, size))
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise wrong_type(box, f"{where}.bbox", "four numbers (there is no segmentation)")
    left, top, width, height = (number(value, f"{where}.bbox") for value in box)
    corners = outline_drawing.corners_of_centred_box(left, top, width, height, _rotation(annotation, where))
    return Shape(name, "box", where, lambda size, brush: outline_drawing.polygon(size, [corners]))


def _rotation(annotation: dict[str, Any], where: str) -> float:
    """Return the clockwise rotation of a box in degrees, which CVAT writes as an attribute; boxes have none in COCO."""
    attributes = annotation.get("attributes")
    value = attributes.get("rotation") if isinstance(attributes, dict) else None
    is_angle = isinstance(value, int | float) and not isinstance(value, bool)  # other values are user-defined
    return number(value, f"{where}.attributes.rotation") if is_angle else 0.0


def _ring(flat: Any, where: str) -> list[tuple[float, float]]:
    if not isinstance(flat, list) or len(flat) % 2:
        raise wrong_type(flat, where, "lists of an even number of coordinates")
    numbers = [number(value, where) for value in flat]
    return list(zip(numbers[::2], numbers[1::2], strict=True))
