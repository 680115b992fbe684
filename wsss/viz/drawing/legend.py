"""The legend of a mask's colours, as a strip below a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.viz.drawing.lettering import drawable, font
from wsss.viz.drawing.palette import HATCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

Entry = tuple[str, tuple[int, int, int] | None]
"""A name and its colour; ``None`` for the hatching of ignored pixels."""

SIZE = 13
GAP = 8


def with_legend(picture: NDArray[np.uint8], entries: Sequence[Entry]) -> NDArray[np.uint8]:
    """Return a picture with a white strip below it: a coloured field and a name for each entry.

    The strip wraps at the width of the picture; a picture narrower than a name is padded with white on the right.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        entries: in order; without entries, the picture is returned unchanged.
    """
    if not entries:
        return picture
    from PIL import Image, ImageDraw

    letters = font(SIZE)
    entries = [(drawable(name), colour) for name, colour in entries]
    measure: Any = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lengths = [SIZE + GAP // 2 + int(np.ceil(measure.textlength(name, font=letters))) + GAP for name, _ in entries]
    width = max(picture.shape[1], GAP + max(lengths))
    positions, x, line = [], GAP, 0
    for length in lengths:
        if x > GAP and x + length > width:
            x, line = GAP, line + 1
        positions.append((x, line))
        x += length + GAP
    step = SIZE + GAP
    strip = Image.new("RGB", (width, (line + 1) * step + GAP), "white")
    draw: Any = ImageDraw.Draw(strip)
    for (name, colour), (left, row) in zip(entries, positions, strict=True):
        top = GAP + row * step
        field = [left, top, left + SIZE, top + SIZE]
        if colour is None:
            strip.paste(_hatched(), (left, top))
            draw.rectangle(field, outline=HATCH[1])
        else:
            draw.rectangle(field, fill=colour, outline=(90, 90, 90))
        draw.text((left + SIZE + GAP // 2, top - 1), name, fill="black", font=letters)
    margin = ((0, 0), (0, width - picture.shape[1]), (0, 0))
    return np.concatenate([np.pad(picture, margin, constant_values=255), np.asarray(strip)])


def _hatched() -> Any:
    from PIL import Image

    diagonals = np.add.outer(np.arange(SIZE), np.arange(SIZE)) // 3 % 2 == 0
    return Image.fromarray(np.where(diagonals[..., None], HATCH[0], HATCH[1]).astype(np.uint8))
