"""Blending of the seams of tiles that are computed row by row, from left to right.

Only the contributions to pixels that later tiles blend are kept: classes × `RAMP` × the width of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from wsss.models.windows.tile_windows import TileWindow


@dataclass(frozen=True)
class Block:
    """A block of pixels of one image, or all pixels of several images.

    Args:
        probabilities: ``(B, C, h, w)`` float32.
    """

    rows: slice
    columns: slice
    probabilities: Tensor


class Seams:
    """The unfinished pixels of the tiles so far.

    Args:
        width: width of the image in pixels.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._left = self._right = self._above = self._below = torch.empty(0)

    def begin(self, rows: TileWindow, columns: TileWindow, like: Tensor) -> None:
        """Begin the next tile.

        Args:
            like: a tensor ``(C, …)`` with the device and the number type of its probabilities.
        """
        if columns.core.start == 0:
            self._above, self._below = self._below, like.new_empty(len(like), rows.ramps[1], self._width)
        height = rows.part.stop - rows.part.start
        self._left, self._right = self._right, like.new_empty(len(like), height, columns.ramps[1])
        self._rows, self._columns = rows, columns
        self._down = torch.from_numpy(rows.weights()).to(like.device)[:, None]
        self._across = torch.from_numpy(columns.weights()).to(like.device)

    def finish(self, band: slice, values: Tensor) -> Iterator[Block]:
        """Yield the finished pixels of a band of rows, if any, and keep the contributions to the others.

        Args:
            band: rows of the image, see `wsss.models.segmentation_networks.tiled_prediction.bands`.
            values: probabilities ``(C, n, m)`` of the tile's part.
        """
        rows, columns = self._rows, self._columns
        inside = slice(band.start - rows.part.start, band.stop - rows.part.start)
        values = values * (self._down[inside] * self._across)
        before, after = columns.ramps
        if before:
            values[:, :, :before] += self._left[:, inside]
        finished = values.shape[2] - after
        self._right[:, inside] = values[:, :, finished:]
        values, across = values[:, :, :finished], slice(columns.part.start, columns.part.stop - after)
        bottom = rows.part.stop - rows.ramps[1]
        if inside.start < rows.ramps[0]:
            values += self._above[:, inside, across]
        if band.start < bottom:
            yield Block(band, across, values[None])
        else:
            self._below[:, band.start - bottom : band.stop - bottom, across] = values
