"""Overlapping tiles of an image, with weights that blend their seams.

Predictions near the border of a tile lack context. A tile therefore gets weight 0 in the outer three eighths of an
overlap, and the weights of both tiles change linearly in its middle quarter, on at most `RAMP` pixels. If a network's
receptive field reaches at most three eighths of the overlap to either side, blended tiles equal the whole image. Wider
ramps do not make seams smoother, but mix in pixels with less context.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MULTIPLE = 32
"""Tiles of any network start at multiples of this many pixels of its input, the largest stride of torchvision's
networks, so that features are sampled at the same positions as in the whole image."""


RAMP = 32
"""Maximum number of pixels on which the weights of two tiles change."""


@dataclass(frozen=True)
class Tiling:
    """Size of the tiles.

    Args:
        tile: side of a tile in pixels of the network's input, at the largest scale.
        overlap: pixels shared by neighbouring tiles, at most half of ``tile``.
    """

    tile: int
    overlap: int


@dataclass(frozen=True)
class TileWindow:
    """A tile along one side of the image; all slices are pixels of the image.

    Args:
        core: the part up to the middle of the overlaps; the cores of all tiles cover the side once.
        part: pixels with a weight above 0.
        ramps: number of pixels at the start and at the end of ``part`` on which the weight is below 1.
    """

    window: slice
    core: slice
    part: slice
    ramps: tuple[int, int]

    def weights(self) -> NDArray[np.float32]:
        """Return the weights of the pixels of ``part``; those of neighbours add up to 1."""
        before, after = self.ramps
        weights = np.ones(self.part.stop - self.part.start, np.float32)
        weights[:before] = (np.arange(before) + 0.5) / max(1, before)
        if after:
            weights[-after:] = 1 - (np.arange(after, dtype=np.float32) + 0.5) / after
        return weights


def tile_windows(length: int, tile: int, overlap: int, multiple: int = 1) -> list[TileWindow]:
    """Return evenly spaced tiles; a single one for a side that is not longer than the last tile may be.

    All tiles but the last one have the same length: on a CPU, a network allocates buffers for every size.

    Args:
        length: pixels of the side.
        tile: pixels of a tile; the last one may be up to ``multiple − 1`` pixels longer.
        overlap: minimum overlap, at most half of ``tile``.
        multiple: tiles start at multiples of it.
    """
    if length < tile + multiple:
        side = slice(0, length)
        return [TileWindow(side, side, side, (0, 0))]
    last = -(-(length - overlap) // (tile - overlap)) - 1
    starts = [number * (length - tile) // last // multiple * multiple for number in range(last + 1)]
    stops = [*(start + tile for start in starts[:-1]), length]
    seams = [(start + stop) // 2 for start, stop in zip(starts[1:], stops, strict=False)]
    ramp = min([RAMP // 2, overlap // 8, *((after - before) // 2 for before, after in pairwise(seams))])
    edges = [0, *seams, length]
    return [
        TileWindow(
            slice(starts[number], stops[number]),
            slice(edges[number], edges[number + 1]),
            slice(edges[number] - ramp * (number > 0), edges[number + 1] + ramp * (number < last)),
            (2 * ramp * (number > 0), 2 * ramp * (number < last)),
        )
        for number in range(last + 1)
    ]
