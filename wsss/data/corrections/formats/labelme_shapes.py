"""labelme: a JSON file per image with polygons, boxes, circles, lines, points and masks."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.corrections import outline_drawing
from wsss.data.corrections.drawing_rules import AnnotatedImage, Kind, Shape
from wsss.data.corrections.formats.json_values import pairs, size_in, text
from wsss.data.importers.json.json_file import objects, read_json, wrong_type
from wsss.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = tuple[int, int]
Points = Sequence[tuple[float, float]]
Region = Callable[[Size, float], "NDArray[np.bool_]"]


def looks_like(content: Any) -> bool:
    """Return whether a JSON document is the file of one image."""
    return isinstance(content, dict) and {"shapes", "imagePath"} <= content.keys()


def read_files(paths: Sequence[Path]) -> Iterator[AnnotatedImage]:
    """Yield the image described by each file.

    Raises:
        InvalidInput: not a labelme file, or an unknown type of shape; names file and key.
    """
    for path in paths:
        content = read_json(path)
        if not looks_like(content):
            raise InvalidInput("not a labelme file", subject=path, allowed="the keys shapes and imagePath")
        listed = objects(content["shapes"], f"{path}: shapes")
        shapes = [_shape(shape, f"{path}: shapes[{index}]") for index, shape in enumerate(listed)]
        size = size_in(content, str(path), height="imageHeight", width="imageWidth")
        yield AnnotatedImage(text(content["imagePath"], f"{path}: imagePath"), str(path), shapes, size)


def _shape(shape: dict[str, Any], where: str) -> Shape:
    kind = str(shape.get("shape_type") or "polygon")
    if kind not in SHAPES:
        raise InvalidInput("unknown shape type", subject=where, found=kind, allowed=SHAPES)
    of_kind, least, draw = SHAPES[kind]
    points = pairs(shape.get("points"), f"{where}.points")
    if len(points) < least:
        raise wrong_type(shape.get("points"), f"{where}.points", f"at least {least} points")
    region = _mask(shape.get("mask"), points, where) if kind == "mask" else _drawn(draw, points)
    return Shape(text(shape.get("label"), f"{where}.label"), of_kind, where, region)


def _drawn(draw: Callable[[Size, Points, float], NDArray[np.bool_]], points: Points) -> Region:
    return lambda size, brush: draw(size, points, brush)


def _polygon(size: Size, points: Points, brush: float) -> NDArray[np.bool_]:
    return outline_drawing.polygon(size, [points])


def _box(size: Size, points: Points, brush: float) -> NDArray[np.bool_]:
    (left, top), (right, bottom) = points[:2]
    return outline_drawing.polygon(size, [outline_drawing.corners_of_box(left, top, right - left, bottom - top)])


def _circle(size: Size, points: Points, brush: float) -> NDArray[np.bool_]:
    radius = math.dist(points[0], points[1])
    return outline_drawing.ellipse(size, points[0], (radius, radius))


def _mask(encoded: Any, points: Points, where: str) -> Region:
    """Return a mask, a PNG in base64, inside the box from its first to its last pixel."""
    left, top = (round(value) for value in points[0])
    pixels = _pixels(encoded, where)
    return lambda size, brush: outline_drawing.placed(size, pixels, top, left)


def _pixels(encoded: Any, where: str) -> NDArray[np.bool_]:
    from PIL import Image, UnidentifiedImageError

    from wsss.io.rasters.rgb_images import MAX_PIXELS

    if not isinstance(encoded, str):
        raise wrong_type(encoded, f"{where}.mask", "a PNG in base64")
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InvalidInput("too large", subject=f"{where}.mask", allowed=f"at most {MAX_PIXELS:,} pixels")
            return np.asarray(image.convert("L")) > 0
    except (binascii.Error, UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidInput("not a PNG in base64", subject=f"{where}.mask") from error


SHAPES: Mapping[str, tuple[Kind, int, Callable[[Size, Points, float], NDArray[np.bool_]]]] = {
    "polygon": ("area", 3, _polygon),
    "rectangle": ("box", 2, _box),
    "circle": ("area", 2, _circle),
    "line": ("mark", 2, outline_drawing.line),
    "linestrip": ("mark", 2, outline_drawing.line),
    "point": ("mark", 1, outline_drawing.dots),
    "points": ("mark", 1, outline_drawing.dots),
    "mask": ("area", 2, _polygon),
}
"""Type of a shape → kind of region, minimum number of points, and the function that draws it."""
