"""labelme: a JSON file per image with polygons, boxes, circles, lines, points and masks.

X-AnyLabeling writes the same files, with four corners for rectangles, and calls rotated ones ``rotation``.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
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
        name = text(content["imagePath"], f"{path}: imagePath")
        yield AnnotatedImage(name, str(path), shapes, size, path=_beside(path, name))


def _beside(file: Path, image: str) -> str:
    """Return the path of an image, which labelme states relative to the folder of its file."""
    name = image.replace("\\", "/")  # labelme on Windows
    absolute = name.startswith("/") or PureWindowsPath(name).is_absolute()
    return name if absolute else posixpath.normpath(posixpath.join(file.absolute().parent.as_posix(), name))


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
    if len(points) > 2:  # X-AnyLabeling writes the four corners
        return outline_drawing.polygon(size, [points])
    (left, top), (right, bottom) = points
    return outline_drawing.polygon(size, [outline_drawing.corners_of_box(left, top, right - left, bottom - top)])


def _circle(size: Size, points: Points, brush: float) -> NDArray[np.bool_]:
    radius = math.dist(points[0], points[1])
    return outline_drawing.ellipse(size, points[0], (radius, radius))


def _mask(encoded: Any, points: Points, where: str) -> Region:
    """Return a mask, a PNG in base64 whose first pixel is at the first point; labelme cuts it off at the border."""
    left, top = (round(value) for value in points[0])
    pixels = _pixels(encoded, where)
    return lambda size, brush: outline_drawing.placed(size, pixels, top, left, cut=True)


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
    "oriented_rectangle": ("box", 4, _polygon),
    "rotation": ("box", 4, _polygon),
    "circle": ("area", 2, _circle),
    "line": ("mark", 2, outline_drawing.line),
    "linestrip": ("mark", 2, outline_drawing.line),
    "point": ("mark", 1, outline_drawing.dots),
    "points": ("mark", 1, outline_drawing.dots),
    "mask": ("area", 2, _polygon),
}
"""Type of a shape → kind of region, minimum number of points, and the function that draws it."""
