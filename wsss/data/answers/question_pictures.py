"""Pictures of the items, as a browser shows them: a tile in its surroundings, or a whole image."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.answers.answer_rows import Item
from wsss.errors import InvalidInput
from wsss.io.rasters.pixel_values.reading import ImageSource
from wsss.io.rasters.rgb_images import read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN = 0.75
"""Width of the surroundings on each side of a tile, in side lengths of the tile."""

SIDE = 640
"""Side length of the picture of a tile in pixels, approximately."""

LONGEST = 1400
"""Maximum side length of the picture of a whole image in pixels."""

DIMMED = 0.4
"""Brightness of the surroundings."""

GREY = 128
"""Grey level beyond the border of the image."""


def question_picture(item: Item, source: ImageSource) -> tuple[bytes, str]:
    """Return the picture of an item as the content of a file, and its media type.

    Raises:
        InvalidInput: the image is unreadable, or the tile is not inside it.
    """
    image = _read(source)
    return (_encoded(tile_picture(image, item), "PNG"), "image/png") if item.size else (_whole(image), "image/jpeg")


def tile_picture(image: NDArray[np.uint8], item: Item) -> NDArray[np.uint8]:
    """Return a tile with darker surroundings, ``(S, S, 3)`` uint8, with S a multiple of the region's side.

    Args:
        image: ``(H, W, 3)`` uint8.

    Raises:
        InvalidInput: the tile is not inside the image.
    """
    import cv2

    if item.y + item.size > image.shape[0] or item.x + item.size > image.shape[1]:
        raise InvalidInput("the tile is not inside the image", subject=item.id)
    margin = round(MARGIN * item.size)
    side = item.size + 2 * margin
    top, left = item.y - margin, item.x - margin
    inside = image[max(top, 0) : top + side, max(left, 0) : left + side]
    row, column = max(-top, 0), max(-left, 0)
    bottom, right = side - row - inside.shape[0], side - column - inside.shape[1]
    region = cv2.copyMakeBorder(inside, row, bottom, column, right, cv2.BORDER_REPLICATE)
    factor = max(1, round(SIDE / side))
    large = np.asarray(cv2.resize(region, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)
    # Grey only after the interpolation, which would mix it into the pixels at the border.
    beyond = np.ones(large.shape[:2], np.bool_)
    beyond[row * factor : (side - bottom) * factor, column * factor : (side - right) * factor] = False
    large[beyond] = GREY
    frame = slice(margin * factor, (margin + item.size) * factor)
    tile = large[frame, frame].copy()
    large = (large * DIMMED).astype(np.uint8)
    line = slice(frame.start - 3, frame.stop + 3)
    large[line, line] = 255
    large[frame, frame] = tile
    return large


def _whole(image: NDArray[np.uint8]) -> bytes:
    import cv2

    scale = LONGEST / max(image.shape[:2])
    if scale < 1:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _encoded(image, "JPEG")


def _encoded(pixels: NDArray[np.uint8], kind: str) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    settings = {"quality": 90} if kind == "JPEG" else {"compress_level": 1}
    Image.fromarray(pixels).save(content, format=kind, **settings)
    return content.getvalue()


@lru_cache(maxsize=2)
def _read(source: ImageSource) -> NDArray[np.uint8]:
    return read_image(*source)
