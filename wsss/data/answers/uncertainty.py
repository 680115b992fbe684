"""Uncertainty of the answer to a question, computed from maps.

The answer about a tile is yes if a class covers a sufficient fraction of its pixels. The value that this fraction of
pixels reaches (a quantile of the map in the tile) is therefore taken as the probability of yes, and its binary entropy
as the uncertainty: highest at ½.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESENT_FROM = 0.05
"""Fraction of a tile's pixels from which a class counts as present, as in `wsss.data.tiles.tiling.TilesConfig`."""


def binary_entropy(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the entropy in bits of probabilities in [0, 1]; 0 at 0 and 1, 1 at ½."""
    q = np.clip(np.asarray(p, np.float64), 1e-12, 1 - 1e-12)
    return np.asarray(-(q * np.log2(q) + (1 - q) * np.log2(1 - q)))


def image_uncertainty(maps: NDArray[np.floating]) -> float:
    """Return the mean binary entropy of the pixels of maps ``(K, H, W)``, for the most uncertain class."""
    return float(binary_entropy(maps).mean((1, 2)).max())


def uncertainty_at(maps: NDArray[np.floating], row: int, column: int, size: int) -> float:
    """Return the uncertainty of one tile of an image, 0 if it exceeds the image.

    Args:
        maps: ``(K, H, W)`` in [0, 1].
        row, column: position of the tile's upper left pixel.
        size: side length of the tile.
    """
    tile = maps[:, row : row + size, column : column + size]
    if tile.shape[1:] != (size, size):
        return 0.0
    reached = np.quantile(tile.reshape(len(maps), -1).astype(np.float32), 1 - PRESENT_FROM, axis=1)
    return float(binary_entropy(reached).max())


def tile_uncertainty(maps: NDArray[np.floating], size: int, rng: np.random.Generator) -> list[tuple[float, int, int]]:
    """Return (uncertainty, row, column) of non-overlapping tiles of an image, in random order.

    Args:
        maps: ``(K, H, W)`` in [0, 1].
        size: side length of a tile; images smaller than this have none.
        rng: chooses the offset of the grid, and the order.
    """
    height, width = maps.shape[1:]
    if min(height, width) < size:
        return []
    top, left = int(rng.integers(height % size + 1)), int(rng.integers(width % size + 1))
    rows, columns = height // size, width // size
    grid = maps[:, top : top + rows * size, left : left + columns * size]
    tiles = grid.reshape(len(maps), rows, size, columns, size).transpose(0, 1, 3, 2, 4)
    reached = np.quantile(tiles.reshape(len(maps), rows * columns, -1).astype(np.float32), 1 - PRESENT_FROM, axis=2)
    scores = binary_entropy(reached).max(0)
    return [
        (float(scores[index]), top + index // columns * size, left + index % columns * size)
        for index in rng.permutation(rows * columns).tolist()
    ]
