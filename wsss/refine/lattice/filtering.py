"""Gaussian filtering on the lattice: splat, blur, slice."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from wsss.refine.lattice.embedding import Lattice, embed
from wsss.topology.compiling import call, kernel

MOST_CHANNELS = 4
"""Maximum number of channels filtered together; a kernel is compiled for each number."""

KEPT_PIXELS = 1 << 21
"""Maximum number of pixels of all position kernels that are cached (30 to 100 bytes per pixel; more for narrow ones).

Photographs of a dataset have about ten sizes."""


class Filter:
    """A Gaussian kernel over the pixels of an image, symmetrically normalised and weighted.

    Args:
        image: ``(H, W, 3)`` uint8.
        sigma_xy: standard deviation in pixels.
        sigma_rgb: standard deviation in grey levels; ``None`` for a kernel of positions alone.
        weight: factor of the result.

    Attributes:
        constant: ``(N,)``, the filtered constant 1.
    """

    def __init__(self, image: NDArray[np.uint8], sigma_xy: float, sigma_rgb: float | None, weight: float) -> None:
        lattice = embed(image, sigma_xy, sigma_rgb)
        size = lattice.vertices.shape[1]
        norm = _filtered_ones(lattice) / (1 + 2.0 ** (1 - size))
        # Normalisation, weight and the filter's own factor go into the barycentric weights, which act twice.
        factor = np.sqrt(weight / (1 + 2.0 ** (1 - size)) / (norm + 1e-20))
        np.multiply(lattice.weights, factor[:, None].astype(np.float32), out=lattice.weights)
        self._lattice = lattice
        self.constant = _filtered_ones(lattice)

    def add(self, values: NDArray[np.float32], result: NDArray[np.float32]) -> None:
        """Add the filtered ``values`` ``(N, C)`` to ``result`` ``(N, C)``, with at most `MOST_CHANNELS` channels."""
        _add(self._lattice, values, result)


_kept: OrderedDict[tuple[int, int, float, float], Filter] = OrderedDict()
_lock = threading.Lock()


def position_filter(image: NDArray[np.uint8], sigma: float, weight: float) -> Filter:
    """Return the `Filter` of positions alone, which depends only on the image's size; recently used ones are cached."""
    height, width = image.shape[:2]
    key = (height, width, sigma, weight)
    with _lock:
        kept = _kept.pop(key, None)
        if kept is not None:
            _kept[key] = kept  # at the end: most recently used
            return kept
    kept = Filter(image, sigma, None, weight)
    if height * width > KEPT_PIXELS:
        return kept
    with _lock:
        _kept[key] = kept
        while sum(rows * columns for rows, columns, *_ in _kept) > KEPT_PIXELS:
            _kept.popitem(last=False)
    return kept


def forget_position_filters() -> None:
    """Free the kept kernels."""
    with _lock:
        _kept.clear()


def _filtered_ones(lattice: Lattice) -> NDArray[np.float32]:
    pixels = len(lattice.vertices)
    result = np.zeros((pixels, 1), np.float32)
    _add(lattice, np.ones((pixels, 1), np.float32), result)
    return result[:, 0]


def _add(lattice: Lattice, values: NDArray[np.float32], result: NDArray[np.float32]) -> None:
    size, channels = (0,) * lattice.vertices.shape[1], (0,) * values.shape[1]
    call(_filter, f"{len(size)} {len(channels)}", *lattice, values, result, size, channels)


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
    """Add filtered ``values`` to ``result``, both ``(N, C)``.

    The lengths of ``size`` (d + 1) and ``channels`` (C) are part of their types, hence constants when this is compiled:
    the loops over them are unrolled.
    """
    count = neighbours.shape[1]
    half = np.float32(0.5)
    old = np.zeros((count, len(channels)), np.float32)
    new = np.empty((count, len(channels)), np.float32)
    new[0, :] = 0  # it stands for all missing neighbours
    for pixel in range(len(vertices)):
        for r in range(len(size)):
            vertex, weight = vertices[pixel, r], weights[pixel, r]
            for c in range(len(channels)):
                old[vertex, c] += weight * values[pixel, c]
    for axis in range(len(size)):
        for vertex in range(1, count):
            after, before = neighbours[axis, vertex, 0], neighbours[axis, vertex, 1]
            for c in range(len(channels)):
                new[vertex, c] = old[vertex, c] + half * (old[after, c] + old[before, c])
        old, new = new, old
    for pixel in range(len(vertices)):
        for r in range(len(size)):
            vertex, weight = vertices[pixel, r], weights[pixel, r]
            for c in range(len(channels)):
                result[pixel, c] += weight * old[vertex, c]
