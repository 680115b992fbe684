"""Gaussian filtering on the lattice: splat, blur, slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsss.refine.lattice.embedding import Lattice, embed
from wsss.topology.compiling import call, kernel

MOST_CHANNELS = 4
"""Channels that are filtered together; each number of them is compiled by itself."""


class Filter:
    """A Gaussian kernel over the pixels of an image, symmetrically normalised and weighted.

    Args:
        image: ``(H, W, 3)`` uint8.
        sigma_xy: standard deviation in pixels.
        sigma_rgb: standard deviation in grey levels; ``None`` for a kernel of positions alone.
        weight: factor of the result.
    """

    def __init__(self, image: NDArray[np.uint8], sigma_xy: float, sigma_rgb: float | None, weight: float) -> None:
        lattice = embed(image, sigma_xy, sigma_rgb)
        pixels, size = lattice.vertices.shape
        norm = _apply(lattice, np.ones((1, pixels), np.float32))[0] / (1 + 2.0 ** (1 - size))
        # Normalisation, weight and the filter's own factor go into the barycentric weights, which act twice.
        factor = np.sqrt(weight / (1 + 2.0 ** (1 - size)) / (norm + 1e-20))
        self._lattice = lattice._replace(weights=lattice.weights * factor[:, None].astype(np.float32))

    def add(self, values: NDArray[np.float32], result: NDArray[np.float32]) -> None:
        """Add the filtered ``values`` ``(C, N)`` to ``result`` ``(C, N)``."""
        _add(self._lattice, values, result)


def _apply(lattice: Lattice, values: NDArray[np.float32]) -> NDArray[np.float32]:
    result = np.zeros_like(values)
    _add(lattice, values, result)
    return result


def _add(lattice: Lattice, values: NDArray[np.float32], result: NDArray[np.float32]) -> None:
    size = (0,) * lattice.vertices.shape[1]
    for first in range(0, len(values), MOST_CHANNELS):
        some = slice(first, first + MOST_CHANNELS)
        channels = (0,) * len(values[some])
        call(_filter, f"{len(size)} {len(channels)}", *lattice, values[some], result[some], size, channels)


@kernel
def _filter(
    vertices: NDArray[np.uint32],
    weights: NDArray[np.float32],
    neighbours: NDArray[np.uint32],
    values: NDArray[np.float32],
    result: NDArray[np.float32],
    size: tuple[int, ...],
    channels: tuple[int, ...],
) -> None:
    """Add filtered ``values`` to ``result``, both ``(C, N)``.

    The lengths of ``size`` (d + 1) and ``channels`` (C) are part of their types, hence constants when this is compiled:
    the loops over them are unrolled.
    """
    count = neighbours.shape[1]
    half = np.float32(0.5)
    old = np.zeros((count, len(channels)), np.float32)
    new = np.empty((count, len(channels)), np.float32)
    for pixel in range(len(vertices)):
        for r in range(len(size)):
            for c in range(len(channels)):
                old[vertices[pixel, r], c] += weights[pixel, r] * values[c, pixel]
    for axis in range(len(size)):
        new[:] = old
        for vertex in range(np.uint32(1), np.uint32(count)):
            other = neighbours[axis, vertex]
            for c in range(len(channels)):
                new[vertex, c] += half * old[other, c]
                new[other, c] += half * old[vertex, c]
        new[0, :] = 0  # it stands for all missing neighbours
        old, new = new, old
    for pixel in range(len(vertices)):
        for c in range(len(channels)):
            total = np.float32(0)
            for r in range(len(size)):
                total += weights[pixel, r] * old[vertices[pixel, r], c]
            result[c, pixel] += total
