"""Label Studio's JSON export: brush masks, polygons, ellipses, boxes and key points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.data.corrections import outline_drawing
from wsss.data.corrections.drawing_rules import AnnotatedImage, Kind, Shape
from wsss.data.corrections.formats.json_values import number, pairs, size_in, text
from wsss.data.importers.json.json_file import objects, read_json, wrong_type
from wsss.data.importers.rules.keys import VAGUE, is_image
from wsss.data.importers.rules.task_answers import decisive, submitted
from wsss.data.importers.rules.urls import is_url
from wsss.data.readers.label_rules import IMAGE_KEYS, find_key
from wsss.errors import InvalidInput
from wsss.io.rasters.rle import brush_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Size = tuple[int, int]
Region = Callable[[Size, float], "NDArray[np.bool_]"]
Value = Mapping[str, Any]
DRAWN = frozenset({"x", "points", "rle", "vertices", "imageDataURL"})
"""Keys of regions."""

REMARKS = frozenset({"choices", "textarea", "taxonomy", "rating", "number", "datetime"})
"""Types of answers to questions about a region, which repeat its coordinates."""

TASK_KEYS = ("image", "image_url", "img", "img_url", "url", *(key for key in IMAGE_KEYS if key not in VAGUE))
"""Keys of the image of a task, the most likely first."""

EXPORT = "Submit the tasks in Label Studio, and export them as JSON."


def looks_like(content: Any) -> bool:
    """Return whether a JSON document is a list of tasks."""
    return isinstance(content, list) and all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content
    )


def read(path: Path) -> Iterator[AnnotatedImage]:
    """Yield the annotated tasks; tasks without an annotation are skipped.

    If a task has several annotations, the one marked as ground truth is used, otherwise the newest.

    Raises:
        InvalidInput: not an export of Label Studio, or no task is annotated; names file and key.
    """
    content = read_json(path)
    if not looks_like(content):
        raise InvalidInput("not a Label Studio export", subject=path, allowed="a list of tasks with the key data")
    annotated = 0
    for index, task in enumerate(content):
        where = f"{path}: [{index}]"
        answers = submitted(objects(task.get("annotations") or [], f"{where}.annotations"))
        if answers:
            annotated += 1
            _, answer = max(decisive(answers).items(), key=lambda one: (_time(one[1]), one[0]))
            yield replace(_image(task["data"], answer, where), others=len(answers) - 1)
    if not annotated:
        raise InvalidInput("no task has an annotation", subject=path, hint=EXPORT)


def _time(answer: Value) -> float:
    """Return when an annotation was changed or made, in seconds; 0 if it is not stated."""
    for key in ("updated_at", "created_at"):
        try:
            time = datetime.fromisoformat(str(answer.get(key)))
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return 0.0


def _image(data: Value, answer: Value, where: str) -> AnnotatedImage:
    results = objects(answer.get("result"), f"{where}.result")
    located = [(result, f"{where}.result[{at}]") for at, result in enumerate(results)]
    regions = [(result, at) for result, at in located if _is_region(result, at)]
    pictures = {f"{result.get('to_name')} {result.get('item_index') or ''}".strip() for result, _ in regions}
    if len(pictures) > 1:
        raise InvalidInput(
            "regions on several images", subject=where, found=sorted(pictures), allowed="one image per task"
        )
    sizes = {size_in(result, at, height="original_height", width="original_width") for result, at in regions}
    if len(sizes) > 1:
        raise InvalidInput("regions of several sizes", subject=where, found=[f"{s[1]}×{s[0]}" for s in sizes if s])
    shapes = [_shape(result, at) for result, at in regions]
    id = _text_or_none(data.get("image_id"))
    target = str(regions[0][0].get("to_name")) if regions else None
    name = _image_of(data, target, f"{where}.data", certain=id is None and target is not None)
    return AnnotatedImage(text(name, f"{where}.data"), where, shapes, sizes.pop() if sizes else None, id)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _image_of(data: Value, target: str | None, where: str, *, certain: bool) -> str | None:
    """Return the path or URL of the image among the data of a task.

    Regions refer to a tag of the labelling interface, which the export does not contain; the tag is often named like
    the key of the image.

    Args:
        target: name of the tag, if there are regions.
        certain: reject several possible images instead of returning the first.

    Raises:
        InvalidInput: several texts may name the image, and neither the tag nor the names of the keys decide.
    """
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    named = texts.get(target or "", "")
    if is_image(named) or is_url(named):
        return named
    images = [key for key, value in texts.items() if is_image(value)]
    images = [key for key in images if is_url(texts[key])] or images  # others are names of files
    key = find_key(images, TASK_KEYS)
    if key is None and certain and len({texts[name] for name in images}) > 1:
        raise InvalidInput(
            "several keys may name the image of the regions",
            subject=where,
            found=images,
            hint="The export does not contain the labelling interface, which assigns images to regions: remove the "
            "other images from the data of the tasks.",
        )
    return texts.get(key or next(iter(images), "image"), next(iter(texts.values()), None))


def _is_region(result: Value, where: str) -> bool:
    """Return whether a result is a region with labels: others are choices, comments or links.

    Raises:
        InvalidInput: a region of an unsupported type, which would be lost.
    """
    value, kind = result.get("value"), str(result.get("type"))
    if not isinstance(value, dict):
        return False
    if kind not in (*REGIONS, *REMARKS) and (kind.endswith("labels") or DRAWN.intersection(value)):
        raise InvalidInput("unsupported region type", subject=where, found=kind, allowed=REGIONS)
    return kind in REGIONS


def _shape(result: Value, where: str) -> Shape:
    kind = str(result["type"])
    value, at = result["value"], f"{where}.value"
    labels = value.get(kind)
    if not isinstance(labels, list):
        raise wrong_type(labels, f"{at}.{kind}", "a list of one label")
    if len(labels) != 1:
        raise InvalidInput(
            "a region without a label" if not labels else "a region with several labels",
            subject=f"{at}.{kind}",
            found=labels or None,
            allowed="one label",
            hint="In Label Studio, assign one label to the region or delete it, and export again.",
        )
    of_kind, read_region = REGIONS[kind]
    return Shape(text(labels[0], f"{at}.{kind}"), of_kind, where, read_region(value, at))


def _brush(value: Value, where: str) -> Region:
    stream = value.get("rle")
    if not isinstance(stream, list) or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in stream):
        raise wrong_type(stream, f"{where}.rle", "a list of bytes")
    return lambda size, brush: brush_mask(stream, size)


def _polygon(value: Value, where: str) -> Region:
    points = pairs(value.get("points"), f"{where}.points")
    return lambda size, brush: outline_drawing.polygon(size, [_in_pixels(points, size)])


def _rectangle(value: Value, where: str) -> Region:
    left, top, width, height = (number(value.get(key), f"{where}.{key}") for key in ("x", "y", "width", "height"))
    turn = number(value.get("rotation", 0), f"{where}.rotation")

    def draw(size: Size, brush: float) -> NDArray[np.bool_]:
        (x, y), (w, h) = _in_pixels([(left, top), (width, height)], size)
        return outline_drawing.polygon(size, [outline_drawing.corners_of_box(x, y, w, h, turn)])

    return draw


def _ellipse(value: Value, where: str) -> Region:
    x, y, first, second = (number(value.get(key), f"{where}.{key}") for key in ("x", "y", "radiusX", "radiusY"))
    turn = number(value.get("rotation", 0), f"{where}.rotation")

    def draw(size: Size, brush: float) -> NDArray[np.bool_]:
        centre, radii = _in_pixels([(x, y), (first, second)], size)
        return outline_drawing.ellipse(size, centre, radii, turn)

    return draw


def _point(value: Value, where: str) -> Region:
    point = [(number(value.get("x"), f"{where}.x"), number(value.get("y"), f"{where}.y"))]
    return lambda size, brush: outline_drawing.dots(size, _in_pixels(point, size), brush)


def _in_pixels(points: list[tuple[float, float]], size: Size) -> list[tuple[float, float]]:
    """Return points in pixels; Label Studio states them in percent of width and height."""
    return [(x * size[1] / 100, y * size[0] / 100) for x, y in points]


REGIONS: Mapping[str, tuple[Kind, Callable[[Value, str], Region]]] = {
    "brushlabels": ("area", _brush),
    "polygonlabels": ("area", _polygon),
    "ellipselabels": ("area", _ellipse),
    "rectanglelabels": ("box", _rectangle),
    "keypointlabels": ("mark", _point),
}
"""Type of a result → kind of region, and the function that reads it."""
