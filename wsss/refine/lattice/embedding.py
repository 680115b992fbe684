"""From the pixels of an image to the lattice: the vertices around each pixel, and their barycentric weights."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.refine.lattice.packing import ascending, hashed, packing, scale_factors, slot_of, steps
from wsss.topology.compiling import call, kernel


class Lattice(NamedTuple):
    """Lattice vertices in use; number 0 stands for a missing one.

    Args:
        vertices: ``(N, d + 1)`` vertex numbers of each pixel's simplex, by remainder.
        weights: ``(N, d + 1)`` barycentric weights, sum 1.
        neighbours: ``(d + 1, M, 2)`` numbers of the next and the previous vertex along each axis, 0 for a missing one.
    """

    vertices: NDArray[np.uint32]
    weights: NDArray[np.float32]
    neighbours: NDArray[np.uint32]


def embed(image: NDArray[np.uint8], sigma_xy: float, sigma_rgb: float | None) -> Lattice:
    """Return the lattice of an image's positions, and colours unless ``sigma_rgb`` is ``None``.

    Args:
        image: ``(H, W, 3)`` uint8.
        sigma_xy: standard deviation of the kernel in pixels.
        sigma_rgb: standard deviation in grey levels.

    Raises:
        InvalidInput: the kernel is too narrow; see `wsss.refine.lattice.packing.packing`.
    """
    height, width = image.shape[:2]
    largest = [(width - 1) / sigma_xy, (height - 1) / sigma_xy]
    if sigma_rgb is not None:
        largest += [255 / sigma_rgb] * 3
    packed = packing(largest)
    scale = scale_factors(len(largest)).astype(np.float32)
    inverse = np.array([1 / sigma_xy, 1 / sigma_xy, *[1 / (sigma_rgb or 1)] * 3], np.float32)[: len(largest)]
    bits = max(10, math.ceil(math.log2(height * width / 4 + 1)))
    vertices, weights, keys = call(_embed, f"{len(largest)}", image, inverse * scale, packed.shift, packed.base, bits)
    order = call(ascending, "", keys[1:])
    keys[1:] = keys[1:][order]
    call(_renumber, "", vertices, order)
    return Lattice(vertices, weights, call(_link, "", keys, packed.shift))


@kernel
def _project(image: NDArray[np.uint8], row: int, scale: NDArray[np.float32], elevated: NDArray[np.float32]) -> None:
    """Compute the coordinates ``(d + 1, W)`` on the hyperplane of a row's pixels: x, y and colours, scaled."""
    dims = len(scale)
    width = image.shape[1]
    elevated[0, :] = 0
    for j in range(dims, 0, -1):
        for x in range(width):
            if j == 1:
                feature = np.float32(x) * scale[0]
            elif j == 2:
                feature = np.float32(row) * scale[1]
            else:
                feature = np.float32(image[row, x, j - 3]) * scale[j - 1]
            elevated[j, x] = elevated[0, x] - np.float32(j) * feature
            elevated[0, x] += feature


@kernel
def _round(
    elevated: NDArray[np.float32], nearest: NDArray[np.int32], rank: NDArray[np.int32], excess: NDArray[np.int32]
) -> None:
    """Find the simplex of each pixel: its remainder-0 vertex, and the order of the differences to it.

    Afterwards ``elevated`` holds these differences. All arrays are ``(d + 1, W)``, ``excess`` is ``(W,)``; loops over
    pixels are the inner ones, so that they are vectorised.
    """
    size, width = elevated.shape
    share = np.float32(1) / np.float32(size)
    excess[:] = 0
    for i in range(size):
        for x in range(width):
            value = elevated[i, x]
            up = np.ceil(value * share) * np.float32(size)
            down = np.floor(value * share) * np.float32(size)
            closest = up if up - value < value - down else down
            nearest[i, x] = np.int32(closest)
            excess[x] += np.int32(closest)
            elevated[i, x] = value - closest
    for x in range(width):
        excess[x] = excess[x] // size
    for i in range(size):
        rank[i, :] = excess
    for i in range(size - 1):
        for j in range(i + 1, size):
            for x in range(width):
                less = np.int32(elevated[i, x] < elevated[j, x])
                rank[i, x] += less
                rank[j, x] += np.int32(1) - less
    for i in range(size):
        for x in range(width):  # back onto the hyperplane
            move = np.int32(size) * (np.int32(rank[i, x] < 0) - np.int32(rank[i, x] >= size))
            rank[i, x] += move
            nearest[i, x] += move
            elevated[i, x] -= np.float32(move)


@kernel
def _weigh(elevated: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
    """Compute barycentric weights ``(W, d + 1)`` from the differences ``(d + 1, W)``, which are sorted in place."""
    size, width = elevated.shape
    share = np.float32(1) / np.float32(size)
    for i in range(size):
        for j in range(size - 1 - i):
            for x in range(width):
                first, second = elevated[j, x], elevated[j + 1, x]
                elevated[j, x] = max(first, second)
                elevated[j + 1, x] = min(first, second)
    for x in range(width):
        weights[x, 0] = np.float32(1) + (elevated[size - 1, x] - elevated[0, x]) * share
        for r in range(1, size):
            weights[x, r] = (elevated[size - 1 - r, x] - elevated[size - r, x]) * share


@kernel
def _embed(
    image: NDArray[np.uint8], scale: NDArray[np.float32], shift: NDArray[np.uint64], base: NDArray[np.int64], bits: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.uint64]]:
    """Return vertex numbers and weights of all pixels, and the packed vertices.

    A pixel in the same simplex as its left or upper neighbour reuses the vertices of that neighbour without a lookup.
    """
    height, width = image.shape[0], image.shape[1]
    size = len(scale) + 1
    vertices = np.empty((height * width, size), np.uint32)
    weights = np.empty((height * width, size), np.float32)
    table = np.zeros(1 << bits, np.uint32)
    keys = np.empty((1 << bits) // 2 + 1, np.uint64)
    count = 1
    elevated = np.empty((size, width), np.float32)
    nearest, rank = np.empty((size, width), np.int32), np.empty((size, width), np.int32)
    excess = np.empty(width, np.int32)
    origin, order = np.empty(width, np.uint64), np.empty(width, np.uint64)
    origin_above, order_above = np.zeros(width, np.uint64), np.zeros(width, np.uint64)
    unit, fields = steps(shift)
    by_rank = np.zeros(size, np.uint64)
    for row in range(height):
        _project(image, row, scale, elevated)
        _round(elevated, nearest, rank, excess)
        _weigh(elevated, weights[row * width : (row + 1) * width])
        origin[:] = 0
        order[:] = 0
        for i in range(size):
            for x in range(width):
                order[x] |= np.uint64(rank[i, x]) << np.uint64(3 * i)
        for i in range(size - 1):
            for x in range(width):
                origin[x] += np.uint64(np.int64(nearest[i, x]) - base[i]) << shift[i]
        for x in range(width):
            pixel = row * width + x
            if x > 0 and order[x] == order[x - 1] and origin[x] == origin[x - 1]:
                for r in range(size):
                    vertices[pixel, r] = vertices[pixel - 1, r]
                continue
            if order[x] == order_above[x] and origin[x] == origin_above[x]:
                for r in range(size):
                    vertices[pixel, r] = vertices[pixel - width, r]
                continue
            for i in range(size):
                by_rank[rank[i, x]] = fields[i]
            key = origin[x]
            for r in range(size):
                if r > 0:
                    key += unit - by_rank[size - r]
                slot = slot_of(key, table, keys, bits)
                if table[slot] == 0:
                    keys[count] = key
                    table[slot] = count
                    count += 1
                vertices[pixel, r] = table[slot]
            if count + size > len(table) // 2:
                bits += 1
                larger = np.empty((1 << bits) // 2 + 1, np.uint64)
                larger[:count] = keys[:count]
                keys = larger
                table = hashed(keys, count, bits)
        origin_above[:] = origin
        order_above[:] = order
    return vertices, weights, keys[:count].copy()


@kernel
def _link(keys: NDArray[np.uint64], shift: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the vertices on both sides ``(d + 1, M, 2)`` along each axis.

    Args:
        keys: packed vertices in ascending order, from index 1. In this order the neighbours of successive vertices
            ascend as well: one pass along the keys finds them, and filtering reads memory in order.
        shift: see `wsss.refine.lattice.packing.Packing`.
    """
    unit, fields = steps(shift)
    count = len(keys)
    neighbours = np.zeros((len(fields), count, 2), np.uint32)
    for axis in range(len(fields)):
        step = unit - fields[axis]
        other = 1
        for vertex in range(1, count):
            key = keys[vertex] + step
            while other < count and keys[other] < key:
                other += 1
            if other < count and keys[other] == key:
                neighbours[axis, vertex, 0] = other
                neighbours[axis, other, 1] = vertex
    return neighbours


@kernel
def _renumber(vertices: NDArray[np.uint32], order: NDArray[np.uint32]) -> None:
    """Replace vertex numbers by their positions in ``order``, which leaves out number 0."""
    position = np.empty(len(order) + 1, np.uint32)
    for k in range(len(order)):
        position[order[k] + 1] = k + 1
    for pixel in range(len(vertices)):
        for r in range(vertices.shape[1]):
            vertices[pixel, r] = position[vertices[pixel, r]]
