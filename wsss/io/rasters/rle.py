"""Run-length encodings of binary masks: COCO's, and that of Label Studio's brush.

An image may have thousands of small regions. They are kept as the part of the mask that contains them (`Region`), so
that work on each of them does not depend on the size of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BRUSH_SIZES = (3, 4, 8, 16)
"""Bits of the four sizes of run lengths, as in Label Studio."""


@dataclass(frozen=True, eq=False)
class Region:
    """A set of pixels of a mask.

    Args:
        window: ``(h, w)`` bool, a part of the mask; outside of it, no pixel belongs to the region.
        top, left: row and column of the window's first pixel.
        size: height and width of the mask.
    """

    window: NDArray[np.bool_]
    top: int
    left: int
    size: tuple[int, int]

    @classmethod
    def whole(cls, mask: NDArray[np.bool_]) -> Region:
        """Return the region of a mask ``(H, W)``."""
        return cls(mask, 0, 0, (mask.shape[0], mask.shape[1]))

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.window))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Bounding box of a region that is not empty: x, y, width, height in pixels."""
        rows, columns = np.flatnonzero(self.window.any(1)), np.flatnonzero(self.window.any(0))
        top, left = int(rows[0]), int(columns[0])
        return self.left + left, self.top + top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top

    def view(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the part of an array ``(H, W)`` that `window` covers, without copying it."""
        height, width = self.window.shape
        return values[self.top : self.top + height, self.left : self.left + width]

    def runs(self, order: Literal["C", "F"]) -> NDArray[np.int64]:
        """Return the lengths of runs of equal values of the mask, beginning with zeros; see `runs`.

        Args:
            order: ``C``: row by row; ``F``: column by column.
        """
        if self.window.shape == self.size:
            return runs(self.window.ravel(order=order))
        window, start, length = self.window, (self.top, self.left), self.size[1]
        if order == "F":
            window, start, length = window.T, (self.left, self.top), self.size[0]
        changes = np.diff(np.pad(window, ((0, 0), (1, 1))).view(np.int8), axis=1)  # 1 starts a run, −1 follows its end
        line, at = np.nonzero(changes)
        bounds = (start[0] + line) * length + start[1] + at
        joined = np.flatnonzero(bounds[1:] == bounds[:-1])  # a run continues at the start of the next line
        bounds = np.delete(bounds, np.concatenate([joined, joined + 1]))
        pixels = self.size[0] * self.size[1]
        lengths = np.diff(np.concatenate([[0], bounds, [pixels]]))
        return lengths[:-1] if len(bounds) and bounds[-1] == pixels else lengths


def runs(values: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the lengths of runs of equal values, beginning with zeros (length 0 if the first value is one).

    Args:
        values: ``(N,)`` bool, N ≥ 1.
    """
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [values.size]]))
    return np.concatenate([[0], lengths]) if values[0] else lengths


def coco_rle(mask: NDArray[np.bool_] | Region) -> dict[str, Any]:
    """Return a mask as COCO's compressed run-length encoding, ``{"size": [H, W], "counts": text}``.

    Runs are column-major and begin with background. From the fourth on, a run is encoded as its difference from the
    second run before it. Each number is split into groups of five bits, lowest first, with the sign in the highest
    group; each group becomes the character with the code 48 + group (+ 32 if more groups follow).

    Args:
        mask: ``(H, W)`` bool, or a region of a mask.
    """
    region = mask if isinstance(mask, Region) else Region.whole(mask)
    lengths = region.runs("F")
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
    return {"size": list(region.size), "counts": characters.decode("ascii")}


def brush_rle(mask: NDArray[np.bool_] | Region) -> list[int]:
    """Return a mask as Label Studio's brush encoding: the bytes of a bit stream.

    The mask is encoded as a row-major RGBA image with all four channels 255 inside and 0 outside. The stream (the
    format of the JavaScript package rle-pack) consists of the number of values (32 bits), the bits per value minus one
    (5), four bit lengths minus one (4 each), and the runs: a one, the index of the bit length (2 bits), the run length
    minus one (of that bit length), and the value. Runs beyond the largest bit length are split.

    Args:
        mask: ``(H, W)`` bool, or a region of a mask.

    Raises:
        ValueError: the image has 2³⁰ pixels or more.
    """
    region = mask if isinstance(mask, Region) else Region.whole(mask)
    height, width = region.size
    if height * width >= 2**30:
        raise ValueError(f"{width}×{height} pixels are too many for a brush mask")
    lengths = region.runs("C") * 4
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
    head = [height * width * 4, 8 - 1, *(bits - 1 for bits in BRUSH_SIZES)]
    bits = _bits(np.concatenate([head, fields.ravel()]), np.concatenate([[32, 5, 4, 4, 4, 4], widths.ravel()]))
    return [int(byte) for byte in np.packbits(bits)]


def from_runs(lengths: NDArray[np.int64], size: tuple[int, int], *, order: Literal["C", "F"]) -> NDArray[np.bool_]:
    """Return the mask ``(H, W)`` of run lengths that begin with zeros; the inverse of `Region.runs`.

    Args:
        lengths: ``(N,)`` numbers of pixels.
        size: height and width.
        order: ``C``: runs are row-major; ``F``: column-major.

    Raises:
        ValueError: a negative length, or their sum is not the number of pixels.
    """
    pixels = size[0] * size[1]
    if (lengths < 0).any() or (lengths > pixels).any() or int(lengths.sum()) != pixels:
        raise ValueError(f"expected run lengths of {size[1]}×{size[0]} = {pixels} pixels")
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return values.reshape(size, order=order)


MAX_BITS = 65
"""Maximum number of bits of a compressed run length, in digits of five."""


def coco_counts(text: str) -> NDArray[np.int64]:
    """Return the run lengths of COCO's compressed text; the inverse of the encoding in `coco_rle`.

    Raises:
        ValueError: the text is not a valid encoding.
    """
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    if ((codes < 0) | (codes > 63)).any() or (len(codes) and codes[-1] & 32):
        raise ValueError("invalid characters in a compressed run-length encoding")
    numbers: list[int] = []
    value, shift = 0, 0
    for code in codes.tolist():
        value |= (code & 31) << shift
        shift += 5
        if shift > MAX_BITS:  # a chain of many digits would take time quadratic in its length
            raise ValueError("run lengths are too large")
        if not code & 32:
            value -= 1 << shift if code & 16 else 0
            numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
            value, shift = 0, 0
    if max(map(abs, numbers), default=0) >= 1 << 62:
        raise ValueError("run lengths are too large")
    return np.asarray(numbers, np.int64)


def decoded_rle(encoding: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask ``(H, W)`` of COCO's ``{"size": [H, W], "counts": …}``, compressed or not.

    Raises:
        ValueError: another size, or invalid counts.
    """
    if encoding.get("size") != list(size):
        raise ValueError(f"expected the size {list(size)} (height, width), got {encoding.get('size')!r}")
    counts = encoding.get("counts")
    if isinstance(counts, str):
        return from_runs(coco_counts(counts), size, order="F")
    if not isinstance(counts, list) or not all(type(count) is int and 0 <= count < 2**31 for count in counts):
        raise ValueError("expected counts as text or as a list of run lengths")
    return from_runs(np.asarray(counts, np.int64), size, order="F")


def brush_mask(stream: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of Label Studio's brush encoding: pixels whose last channel is not 0; see `brush_rle`.

    Args:
        size: height and width.

    Raises:
        ValueError: the stream is invalid, or encodes another number of pixels.
    """
    reader = _BitReader(bytes(stream))
    total, word = reader.take(32), reader.take(5) + 1
    if word != 8:
        raise ValueError(f"expected a brush of 8 bits per value, got {word}")
    if total != size[0] * size[1] * 4:
        raise ValueError(f"a brush of {total // 4} pixels, not of {size[1]}×{size[0]} = {size[0] * size[1]}")
    sizes = [reader.take(4) + 1 for _ in range(4)]
    values = np.empty(total, np.uint8)
    at = 0
    while at < total:
        repeated = reader.take(1)
        length = reader.take(sizes[reader.take(2)]) + 1
        if at + length > total:
            raise ValueError("a brush with too many values")
        if repeated:
            values[at : at + length] = reader.take(word)
        else:
            values[at : at + length] = [reader.take(word) for _ in range(length)]
        at += length
    mask: NDArray[np.bool_] = values.reshape(*size, 4)[..., 3] > 0
    return mask


class _BitReader:
    """Reads numbers from a stream of bits, highest bit first."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> int:
        """Return the next ``count`` bits as a number; raise `ValueError` at the end."""
        end = self.at + count
        if end > 8 * len(self.content):
            raise ValueError("a brush that ends too early")
        first, last = self.at // 8, -(-end // 8)
        number = int.from_bytes(self.content[first:last], "big") >> (8 * last - end)
        self.at = end
        return number & ((1 << count) - 1)


def _bits(numbers: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the bits of numbers of individual widths, highest bit first, concatenated."""
    ends = np.cumsum(widths)
    shifts = np.repeat(ends, widths) - 1 - np.arange(ends[-1])  # following bits of the same number
    return (np.repeat(numbers, widths) >> shifts & 1).astype(np.uint8)
