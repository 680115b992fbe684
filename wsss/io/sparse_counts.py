"""Pixel counts of many images as their non-zero cells: an image shows few of the classes of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SparseCounts:
    """Counts of N images, each an array of one shape.

    Args:
        shape: shape of the counts of an image.
        offsets: ``(N + 1,)`` integers; image i has the cells from ``offsets[i]`` up to but not including
            ``offsets[i + 1]``.
        cells: ``(K,)`` integers, indices into the flattened counts of an image.
        pixels: ``(K,)`` non-negative integers, the counts.
    """

    shape: tuple[int, ...]
    offsets: NDArray[np.int64]
    cells: NDArray[np.integer[Any]]
    pixels: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, shape: tuple[int, ...], images: Iterable[NDArray[np.int64]]) -> SparseCounts:
        """Return the counts of images, each ``shape``; one image is in memory at a time."""
        cells, pixels = [np.empty(0, np.int32)], [np.empty(0, np.uint32)]
        for image in images:
            flat = image.ravel()
            own = np.flatnonzero(flat)
            cells.append(_narrow(own, np.int32))
            pixels.append(_narrow(flat[own], np.uint32))
        lengths = [len(each) for each in cells]
        return cls(shape, np.cumsum(lengths, dtype=np.int64), np.concatenate(cells), np.concatenate(pixels))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def dense(self) -> NDArray[np.int64]:
        """Return the counts of all images, ``(N, *shape)``."""
        counts = np.zeros((len(self), math.prod(self.shape)), np.int64)
        np.add.at(counts, (np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.cells), self.pixels)
        return counts.reshape(len(self), *self.shape)

    def total(self) -> NDArray[np.int64]:
        """Return the sum over the images, ``shape``."""
        total = np.zeros(math.prod(self.shape), np.int64)
        np.add.at(total, self.cells, self.pixels)
        return total.reshape(self.shape)

    def weighted(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return weighted sums over the images, exact for whole weights and sums below 2⁵³.

        Args:
            weights: ``(R, N)``.

        Returns:
            ``(R, *shape)``, contiguous.
        """
        sums = np.ascontiguousarray((self._by_cell @ weights.T).T)
        return sums.reshape(len(weights), *self.shape)

    @cached_property
    def _by_cell(self) -> Any:
        """The counts as a sparse matrix, cells × images."""
        from scipy.sparse import csr_array

        data = (self.pixels.astype(np.float64), self.cells, self.offsets)
        return csr_array(data, shape=(len(self), math.prod(self.shape))).T


def _narrow(values: NDArray[np.int64], dtype: type[np.integer[Any]]) -> NDArray[Any]:
    """Return non-negative integers in half the memory, if they fit."""
    return values.astype(dtype) if int(values.max(initial=0)) <= np.iinfo(dtype).max else values
