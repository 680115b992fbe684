"""Regions drawn on an image in an annotation tool, and the resulting mask.

Coordinates are pixels, x to the right and y down; (0, 0) is the upper left corner of the image and (1, 1) the lower
right corner of its first pixel. A pixel belongs to a region that contains its centre.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsss.errors import InvalidInput, Verbatim
from wsss.io.rasters.label_masks import BACKGROUND, IGNORE, IGNORED_NAMES, ROTATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes

    Mask = NDArray[np.uint8]
    Region = NDArray[np.bool_]

Size = tuple[int, int]
Kind = Literal["area", "mark", "box"]
Outside = Literal["background", "unlabelled"]
Boxes = Literal["bound", "fill"]
Empty = Literal["skip", "background"]


@dataclass(frozen=True)
class DrawingRules:
    """How regions determine the labels of the pixels inside and outside them.

    Args:
        outside: pixels outside all regions: ``background``, or ``unlabelled`` (255). By default unlabelled in images
            with lines or points, which mark only some pixels of an object, and background in others.
        boxes: a box either bounds its object (pixels outside all boxes are background, those inside unlabelled), or all
            its pixels are of its class (``fill``).
        brush: width of lines and points, in pixels.
        empty: images without any region are either left out, since tools also list images that nobody annotated, or
            all background.
    """

    outside: Outside | None = None
    boxes: Boxes = "bound"
    brush: float = 5.0
    empty: Empty = "skip"


@dataclass(frozen=True)
class Shape:
    """One region.

    Args:
        label: name of its class.
        kind: ``area`` (a polygon or brush mask), ``mark`` (a line or point on an object), or ``box``.
        where: location in the source, for messages.
        draw: size of the image, width of the brush → the pixels inside, ``(H, W)`` bool; may raise `ValueError`.
    """

    label: str
    kind: Kind
    where: str
    draw: Callable[[Size, float], Region]


@dataclass(frozen=True)
class AnnotatedImage:
    """One image of a source.

    Args:
        name: its name or path in the source.
        where: its location in the source, for messages.
        shapes: its regions, later ones above earlier ones; empty for a source of masks.
        size: its height and width according to the source, if stated.
        id: its image id, if the source states it.
        mask: size of the image → mask of class indices ``(H, W)``, for a source of masks; may raise `InvalidInput`.
        values: class name → mask value, if the values of the mask identify its classes and 255 means unlabelled; empty
            if colours do, or for shapes.
        as_written: whether the values of the mask are assumed to be those of masks written by wsss, since the source
            does not state their classes.
        complete: whether the image is known to be annotated, even if it has no region.
        path: the path of the image file, if the source states it more exactly than by its name.
        others: number of further annotations of the image, which are not imported.
    """

    name: str
    where: str
    shapes: Sequence[Shape] = ()
    size: Size | None = None
    id: str | None = None
    mask: Callable[[Size], Mask] | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    as_written: bool = False
    complete: bool = False
    path: str | None = None
    others: int = 0


def is_skipped(image: AnnotatedImage, rules: DrawingRules) -> bool:
    """Return whether an image is left out because it has no region."""
    if image.shapes or image.mask is not None:
        return False
    return rules.empty == "skip" and (not image.complete or rules.outside == "unlabelled")


def drawn_mask(image: AnnotatedImage, size: Size, classes: Classes, rules: DrawingRules) -> tuple[Mask, list[str]]:
    """Return the mask ``(H, W)`` of class indices of an image, 255 = unlabelled, and the regions that cover no pixel.

    Args:
        size: height and width of the image file.
        rules: see `DrawingRules`.

    Raises:
        InvalidInput: the source states another size, a label is not a class, or a region is invalid or lies outside the
            image.
    """
    if image.size is not None and image.size != size:
        raise size_mismatch(image.where, found=image.size, size=size)
    if image.mask is not None:
        return image.mask(size), []
    shapes = image.shapes
    values = [class_value(shape.label, classes, shape.where) for shape in shapes]
    bounds = [_bounds(shape, value, rules) for shape, value in zip(shapes, values, strict=True)]
    mask, invisible = np.full(size, _outside_value(shapes, rules, bounded=any(bounds)), np.uint8), []
    # Bounding boxes are painted first, so that regions drawn inside them remain labelled.
    for index in sorted(range(len(shapes)), key=lambda index: not bounds[index]):
        region = _pixels(shapes[index], size, rules)
        mask[region] = IGNORE if bounds[index] else values[index]
        if not region.any():
            invisible.append(shapes[index].where)
    return mask, invisible


def _bounds(shape: Shape, value: int, rules: DrawingRules) -> bool:
    """Return whether a region bounds an object: a box of a class."""
    return shape.kind == "box" and rules.boxes == "bound" and value not in (0, IGNORE)


def _outside_value(shapes: Sequence[Shape], rules: DrawingRules, *, bounded: bool) -> int:
    """Return the class index of pixels outside all regions."""
    if not shapes:
        return 0
    marked = any(shape.kind == "mark" for shape in shapes)
    value = rules.outside or ("unlabelled" if marked and not bounded else "background")
    return IGNORE if value == "unlabelled" else 0


def _pixels(shape: Shape, size: Size, rules: DrawingRules) -> Region:
    try:
        return shape.draw(size, rules.brush)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(str(error), subject=shape.where) from error


def class_value(label: str, classes: Classes, where: str) -> int:
    """Return the class index of a label: ``background`` is 0, and the name of ignored pixels in exports 255.

    Raises:
        InvalidInput: unknown class.
    """
    if label in classes.names:
        return classes.names.index(label)
    if label == BACKGROUND:
        return 0
    if label in IGNORED_NAMES:
        return IGNORE
    raise InvalidInput("unknown class", subject=where, found=label, allowed=classes.names)


def size_mismatch(where: str, *, found: Size, size: Size) -> InvalidInput:
    """Return the error for a mask whose size ``(H, W)`` is not that of its image."""
    return InvalidInput(
        "mask and image differ in size (width×height)",
        subject=where,
        allowed=f"{size[1]}×{size[0]}",
        found=Verbatim(f"{found[1]}×{found[0]}"),
        hint=ROTATE if found == size[::-1] else "Use masks that were drawn for the images of this dataset.",
    )
