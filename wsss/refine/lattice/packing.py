"""Lattice vertices as integers: the coordinates of a vertex packed into one int64, and a hash table of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsss.errors import InvalidInput
from wsss.topology.compiling import kernel

FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2⁶⁴ divided by the golden ratio, odd: multiplicative hashing (Knuth, TAOCP 3, 6.4)."""

MOST_BITS = 62
"""Bits of a packed vertex."""

DIGIT = 11
"""Bits sorted at a time."""

MOST_STEPS = 1 << 22
"""Largest coordinate: beyond it, neighbouring vertices are not distinct in single precision."""


@dataclass(frozen=True)
class Packing:
    """How the d independent coordinates of a vertex are packed into one integer.

    Args:
        shift: position of each coordinate's lowest bit.
        base: smallest value of each coordinate.
    """

    shift: NDArray[np.uint64]
    base: NDArray[np.int64]


def scale_factors(dims: int) -> NDArray[np.float64]:
    """Return the factor of each feature before it is projected onto the lattice's hyperplane.

    Features in units of their kernel's standard deviation become lattice coordinates (Adams et al., section 3.1, with
    the variance of the blur divided out).
    """
    index = np.arange(dims)
    return (dims + 1) * math.sqrt(2 / 3) / np.sqrt((index + 1) * (index + 2))


def packing(largest: Sequence[float]) -> Packing:
    """Return a packing for features from 0 to ``largest``, in standard deviations.

    Raises:
        InvalidInput: the coordinates are too large: a standard deviation is far too small for its range.
    """
    dims = len(largest)
    scaled = np.asarray(largest) * scale_factors(dims)
    margin = 4 * (dims + 1)  # the vertices of a simplex, their neighbours, rounding
    low = [-j * scaled[j - 1] if j else 0.0 for j in range(dims)]
    high = [float(scaled[j:].sum()) for j in range(dims)]
    base = [math.floor(value) - margin for value in low]
    bits = [(math.ceil(value) + margin - start).bit_length() for value, start in zip(high, base, strict=True)]
    if sum(bits) > MOST_BITS or max(high) > MOST_STEPS or min(low) < -MOST_STEPS:
        raise InvalidInput(
            "the kernel is too narrow for the lattice",
            subject="crf",
            allowed="larger standard deviations (gauss_sigma, bilateral_sigma_xy, bilateral_sigma_rgb)",
            hint="Or use the engine pydensecrf: crf.engine: pydensecrf.",
        )
    shift = np.concatenate([[0], np.cumsum(bits)[:-1]]).astype(np.uint64)
    return Packing(shift, np.asarray(base, np.int64))


@kernel
def slot_of(key: np.uint64, table: NDArray[np.uint32], keys: NDArray[np.uint64], bits: int) -> np.uint64:
    """Return the slot of ``table`` that holds the vertex of ``key``, or the free slot where it belongs.

    Args:
        key: a packed vertex.
        table: vertex number per slot, 0 where a slot is free; its length is ``2**bits``.
        keys: packed vertex of each vertex number.
        bits: see ``table``.
    """
    mask = np.uint64(len(table) - 1)
    slot = (key * FACTOR) >> np.uint64(64 - bits)
    while table[slot] != 0 and keys[table[slot]] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@kernel
def hashed(keys: NDArray[np.uint64], count: int, bits: int) -> NDArray[np.uint32]:
    """Return the hash table of ``keys[1:count]`` with ``2**bits`` slots."""
    table = np.zeros(1 << bits, np.uint32)
    for vertex in range(1, count):
        table[slot_of(keys[vertex], table, keys, bits)] = vertex
    return table


@kernel
def ascending(keys: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the indices that sort packed vertices: a radix sort, several times faster than comparing them."""
    count, mask = len(keys), np.uint64((1 << DIGIT) - 1)
    highest = np.uint64(0)
    for k in range(count):
        highest = max(highest, keys[k])
    order, next_order = np.arange(count).astype(np.uint32), np.empty(count, np.uint32)
    values, next_values = keys.copy(), np.empty(count, np.uint64)
    low = np.uint64(0)
    while low < 64 and highest >> low > 0:
        begins = np.zeros((1 << DIGIT) + 1, np.int64)
        for k in range(count):
            begins[((values[k] >> low) & mask) + np.uint64(1)] += 1
        for digit in range(1 << DIGIT):
            begins[digit + 1] += begins[digit]
        for k in range(count):
            digit = (values[k] >> low) & mask
            slot = begins[digit]
            begins[digit] += 1
            next_values[slot], next_order[slot] = values[k], order[k]
        values, next_values = next_values, values
        order, next_order = next_order, order
        low += np.uint64(DIGIT)
    return order


@kernel
def steps(shift: NDArray[np.uint64]) -> tuple[np.uint64, NDArray[np.uint64]]:
    """Return the offsets between packed vertices: the sum of all coordinates' units, d + 1 units of each coordinate.

    The neighbour of a vertex along axis i is ``key + unit - fields[i]``; the last axis has no coordinate of its own.
    """
    dims = len(shift)
    unit = np.uint64(0)
    fields = np.zeros(dims + 1, np.uint64)
    for i in range(dims):
        unit += np.uint64(1) << shift[i]
        fields[i] = np.uint64(dims + 1) << shift[i]
    return unit, fields
