"""Run-length encodings of binary masks that other tools read: COCO's, and the one of Label Studio's brush."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BRUSH_SIZES = (3, 4, 8, 16)
"""Bits of the four sizes of run lengths; Label Studio's own choice."""


def runs(values: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the lengths of runs of equal values; the first is that of zeros, and is 0 if the first value is one.

    Args:
        values: ``(N,)`` bool, N ≥ 1.
    """
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [values.size]]))
    return np.concatenate([[0], lengths]) if values[0] else lengths


def coco_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask as COCO's compressed run-length encoding, ``{"size": [H, W], "counts": text}``.

    The runs go down the columns and begin with background. From the fourth on, a run is written as its difference to
    the run before the last; each number is split into groups of five bits, lowest first, the highest of which keeps
    the sign, and each group becomes the character with the code 48 + group (+ 32 if more groups follow).

    Args:
        mask: ``(H, W)`` bool.
    """
    lengths = runs(mask.ravel(order="F"))
    numbers = lengths.copy()
    numbers[3:] -= lengths[1:-2]
    characters = bytearray()
    for number in numbers.tolist():
        more = True
        while more:
            group = number & 31
            number >>= 5
            more = number != (-1 if group & 16 else 0)
            characters.append(48 + group + (32 if more else 0))
    return {"size": [int(side) for side in mask.shape], "counts": characters.decode("ascii")}


def brush_rle(mask: NDArray[np.bool_]) -> list[int]:
    """Return a mask as Label Studio's brush encoding: the bytes of a bit stream.

    The mask becomes an RGBA image, all four channels 255 inside and 0 outside, row by row. The stream (the format
    of the JavaScript package rle-pack) begins with the number of values (32 bits), the bits of a value less one (5),
    and four bit lengths less one (4 each); then come the runs: a one, which of the four lengths (2 bits), the run's
    length less one (that many bits), and its value. Runs longer than the largest length can say are split.

    Args:
        mask: ``(H, W)`` bool.

    Raises:
        ValueError: the image has 2³⁰ pixels or more.
    """
    if mask.size >= 2**30:
        raise ValueError(f"{mask.shape[1]}×{mask.shape[0]} pixels are too many for a brush mask")
    lengths = runs(mask.ravel()) * 4
    values = np.where(np.arange(len(lengths)) % 2 == 0, 0, 255)
    longest = 1 << BRUSH_SIZES[-1]
    parts = -(-lengths // longest)  # an empty first run has no part
    last = np.cumsum(parts) - 1
    split = np.full(int(parts.sum()), longest)
    split[last[parts > 0]] = (lengths - (parts - 1) * longest)[parts > 0]
    values = np.repeat(values, parts)
    size = np.searchsorted(1 << np.array(BRUSH_SIZES), split)
    fields = np.stack([np.ones_like(split), size, split - 1, values], axis=1)
    widths = np.stack([np.full_like(split, 1), np.full_like(split, 2), np.array(BRUSH_SIZES)[size], split * 0 + 8], 1)
    head = [mask.size * 4, 8 - 1, *(bits - 1 for bits in BRUSH_SIZES)]
    bits = _bits(np.concatenate([head, fields.ravel()]), np.concatenate([[32, 5, 4, 4, 4, 4], widths.ravel()]))
    return [int(byte) for byte in np.packbits(bits)]


def _bits(numbers: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return numbers as one row of bits, each with its own width, highest bit first."""
    ends = np.cumsum(widths)
    behind = np.repeat(ends, widths) - 1 - np.arange(ends[-1])  # bits of the same number that follow
    return (np.repeat(numbers, widths) >> behind & 1).astype(np.uint8)
