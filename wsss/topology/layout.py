"""The padded layout, and keys: pixel values as integers that sort in the order of the sublevel filtration.

**Layout.** An image of ``rows × columns`` pixels lies in a flat array with a stride of ``columns + 1``: one padding
row above and below, and one padding column that is both the right neighbour of a row's last pixel and the left
neighbour of the next row's first. Padding holds the largest key, so no pixel ever wants to go there and no loop over
neighbours tests for borders.

- pixel ``(r, c)`` has index ``(r + 1) * stride + c + 1``;
- the edge that goes down from pixel ``p`` is ``2 * p``, the one to the right ``2 * p + 1``: ascending edge numbers are
  the C++ reference's order of ties (row, column, type);
- a face (four pixels) has the index of its upper left pixel. Faces that contain padding lie outside the image; all of
  them together are the node `OUTSIDE`.

**Keys.** The bits of a float, read as a signed integer and with the lower bits of negative numbers flipped, sort like
the float. float32 gives int32 keys; float64 gives int32 keys too when every value survives the way to float32 and
back (masks, quantised probabilities), else int64. −0.0 becomes 0.0. The superlevel filtration is the sublevel
filtration of the negated values.
"""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel

OUTSIDE = 0
"""Index of the node that stands for all faces outside the image."""

MAX_CELLS = 2**29
"""Edge numbers and two flags share 32 bits."""


def stride_of(columns: int) -> int:
    """Return the distance between a pixel and the one below it."""
    return columns + 1


def cells_of(rows: int, columns: int) -> int:
    """Return the length of a flat array, rounded up to 8 so that bytes can be read as 64-bit words."""
    return -(-((rows + 2) * (columns + 1) + 2) // 8) * 8


@kernel
def keys_from_float32(image, sign, keys):
    """Write the int32 keys of a ``(H, W)`` float32 image; return False if a value is NaN or infinite."""
    rows, columns = image.shape
    keys[:] = 0x7FFFFFFF
    bits = image.view(np.int32)
    flip = np.int32(0) if sign > 0 else np.int32(-0x80000000)
    finite = True
    for r in range(rows):
        start = (r + 1) * (columns + 1) + 1
        finite &= _float32_row(bits[r], flip, keys[start : start + columns])
    return finite


@kernel
def _float32_row(bits, flip, keys):
    largest = np.int32(0)
    for c in range(bits.size):
        magnitude = bits[c] & np.int32(0x7FFFFFFF)
        largest = max(largest, magnitude)
        negative = (bits[c] ^ flip) >> np.int32(31)  # all ones for a negative number
        keys[c] = (magnitude ^ negative) - negative  # −0.0 and 0.0 both become 0
    return largest < np.int32(0x7F800000)


@kernel
def keys_from_float64(image, sign, keys):
    """Write the int64 keys of a ``(H, W)`` float64 image; return False if a value is NaN or infinite."""
    rows, columns = image.shape
    keys[:] = 0x7FFFFFFFFFFFFFFF
    bits = image.view(np.int64)
    flip = np.int64(0) if sign > 0 else np.int64(-0x8000000000000000)
    finite = True
    for r in range(rows):
        start = (r + 1) * (columns + 1) + 1
        finite &= _float64_row(bits[r], flip, keys[start : start + columns])
    return finite


@kernel
def _float64_row(bits, flip, keys):
    largest = np.int64(0)
    for c in range(bits.size):
        magnitude = bits[c] & np.int64(0x7FFFFFFFFFFFFFFF)
        largest = max(largest, magnitude)
        negative = (bits[c] ^ flip) >> np.int64(63)
        keys[c] = (magnitude ^ negative) - negative
    return largest < np.int64(0x7FF0000000000000)


@kernel
def narrow(image, narrowed):
    """Copy a float64 image to float32; return False if a value changes on the way (NaN counts as unchanged)."""
    same = True
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            value = np.float32(image[r, c])
            narrowed[r, c] = value
            same &= (np.float64(value) == image[r, c]) | (image[r, c] != image[r, c])
    return same
