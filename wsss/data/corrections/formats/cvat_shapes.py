"""CVAT for images 1.1 (annotations.xml): polygons, masks, polylines, points, boxes and ellipses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.corrections import outline_drawing
from wsss.data.corrections.drawing_rules import AnnotatedImage, Kind, Shape
from wsss.data.importers.formats.cvat_labels import MAX_BYTES
from wsss.errors import InvalidInput
from wsss.io.rasters.rle import from_runs
from wsss.io.text.xml_files import read_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

Size = tuple[int, int]
Region = Callable[[Size, float], "NDArray[np.bool_]"]
MAX_SIDE = 1 << 20


def read(path: Path) -> Iterator[AnnotatedImage]:
    """Yield the images of an export; shapes with a larger ``z_order`` are above others.

    Raises:
        InvalidInput: not an export of CVAT, or an attribute is missing or invalid; names file and image.
    """
    root = read_xml(path, max_bytes=MAX_BYTES)
    images = root.findall("image")
    if root.tag != "annotations" or not images:
        hint = "Export the task as 'CVAT for images 1.1'."
        raise InvalidInput("no annotations with images, as exported by CVAT", subject=path, hint=hint)
    for position, image in enumerate(images):
        where = f"{path}: image[{position}]"
        name = _attribute(image, "name", where)
        shapes = [(element, f"{where} ({name}): {element.tag}") for element in image if element.tag != "tag"]
        shapes.sort(key=lambda pair: _number(pair[0], "z_order", pair[1], default=0))
        size = _side(image, "height", where), _side(image, "width", where)
        yield AnnotatedImage(name, where, [_shape(element, at) for element, at in shapes], size)


def _shape(element: Element, where: str) -> Shape:
    if element.tag not in SHAPES:
        raise InvalidInput("unsupported shape type", subject=where, found=element.tag, allowed=SHAPES)
    kind, read_region = SHAPES[element.tag]
    return Shape(_attribute(element, "label", where), kind, where, read_region(element, where))


def _points(element: Element, where: str) -> list[tuple[float, float]]:
    """Return the points of ``x,y;x,y``."""
    text = _attribute(element, "points", where)
    try:
        pairs = [tuple(map(float, point.split(","))) for point in text.split(";")]
        return [(x, y) for x, y in pairs]
    except ValueError as error:
        raise InvalidInput(subject=f"{where}.points", found=text, allowed="points as x,y;x,y") from error


def _polygon(element: Element, where: str) -> Region:
    points = _points(element, where)
    return lambda size, brush: outline_drawing.polygon(size, [points])


def _polyline(element: Element, where: str) -> Region:
    points = _points(element, where)
    return lambda size, brush: outline_drawing.line(size, points, brush)


def _dots(element: Element, where: str) -> Region:
    points = _points(element, where)
    return lambda size, brush: outline_drawing.dots(size, points, brush)


def _box(element: Element, where: str) -> Region:
    left, top, right, bottom = (_number(element, key, where) for key in ("xtl", "ytl", "xbr", "ybr"))
    turn = _number(element, "rotation", where, default=0)
    corners = outline_drawing.corners_of_centred_box(left, top, right - left, bottom - top, turn)
    return lambda size, brush: outline_drawing.polygon(size, [corners])


def _ellipse(element: Element, where: str) -> Region:
    x, y, first, second = (_number(element, key, where) for key in ("cx", "cy", "rx", "ry"))
    turn = _number(element, "rotation", where, default=0)
    return lambda size, brush: outline_drawing.ellipse(size, (x, y), (first, second), turn)


def _mask(element: Element, where: str) -> Region:
    """Return a mask of row-major run lengths inside a window, beginning with background."""
    left, top = (int(_number(element, key, where)) for key in ("left", "top"))
    width, height = _side(element, "width", where), _side(element, "height", where)
    text = _attribute(element, "rle", where)
    try:
        counts = np.asarray([int(count) for count in text.split(",")], np.int64)
    except (ValueError, OverflowError) as error:
        raise InvalidInput("invalid run lengths", subject=f"{where}.rle") from error

    def draw(size: Size, brush: float) -> NDArray[np.bool_]:
        return outline_drawing.placed(size, from_runs(counts, (height, width), order="C"), top, left)

    return draw


SHAPES: Mapping[str, tuple[Kind, Callable[[Element, str], Region]]] = {
    "polygon": ("area", _polygon),
    "mask": ("area", _mask),
    "ellipse": ("area", _ellipse),
    "polyline": ("mark", _polyline),
    "points": ("mark", _dots),
    "box": ("box", _box),
}
"""Element → kind of region, and the function that reads it."""


def _attribute(element: Element, key: str, where: str) -> str:
    value = element.get(key)
    if not value:
        raise InvalidInput(f"missing attribute {key!r}", subject=where)
    return value


def _number(element: Element, key: str, where: str, *, default: float | None = None) -> float:
    if default is not None and element.get(key) is None:
        return default
    value = _attribute(element, key, where)
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e12:
        raise InvalidInput(subject=f"{where}.{key}", found=value, allowed="a finite number")
    return number


def _side(element: Element, key: str, where: str) -> int:
    number = _number(element, key, where)
    if not 1 <= number <= MAX_SIDE or number != int(number):
        raise InvalidInput(subject=f"{where}.{key}", found=element.get(key), allowed="a number of pixels of at least 1")
    return int(number)
