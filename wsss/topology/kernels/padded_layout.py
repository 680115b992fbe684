"""The padded layout, and keys: pixel values as integers in the order of the sublevel filtration.

**Layout.** An image of ``rows × columns`` pixels is a flat array with a stride of ``columns + 1``: one padding row
above and below, and one padding column that is both the right neighbour of a row's last pixel and the left neighbour of
the next row's first. Padding holds the largest key and is thus never the first neighbour of a pixel, so that loops over
neighbours need no border tests.

- pixel ``(r, c)`` has index ``(r + 1) * stride + c + 1``;
- the edge from pixel ``p`` downwards is ``2 * p``, the one to the right ``2 * p + 1``: ascending edge indices are the
  C++ reference's order of ties (row, column, type);
- a face (four pixels) has the index of its upper left pixel. Faces that contain padding are outside the image and form
  the single node `OUTSIDE`.

**Keys.** The bits of a float, read as a signed integer and with the lower bits of negative numbers flipped, sort like
the float. float32 gives int32 keys; float64 gives int32 keys if float32 represents every value (masks, quantised
probabilities), otherwise int64. −0.0 becomes 0.0. The superlevel filtration is the sublevel
filtration of the negated values.
"""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel

OUTSIDE = 0
"""Index of the node of all faces outside the image."""

MAX_CELLS = 2**29
"""Edge indices and two flags share 32 bits."""


def cells_of(rows: int, columns: int) -> int:
    """Return the length of the flat array, a multiple of 8 so that bytes can be read as 64-bit words."""
    return -(-((rows + 2) * (columns + 1) + 2) // 8) * 8


@kernel
def fill_padding(pixels, rows, columns, value):
    """Write ``value`` to the padding of an array of pixels."""
    stride = columns + 1
    pixels[: stride + 1] = value
    for r in range(rows):
        pixels[(r + 2) * stride] = value
    pixels[(rows + 1) * stride + 1 :] = value


@kernel
def fill_outside(faces, rows, columns, value):
    """Write ``value`` to the faces of an array that contain padding."""
    stride = columns + 1
    faces[: stride + 1] = value
    for r in range(rows - 1):
        faces[(r + 2) * stride - 1] = value
        faces[(r + 2) * stride] = value
    faces[rows * stride + 1 :] = value


@kernel
def keys_from_float32(image, sign, margin, keys):
    """Write the int32 keys of an image.

    Args:
        image: contiguous, ``(H, W)``, float32 or bool, or float64 that `fits_float32`.
        sign: 1 for the sublevel, -1 for the superlevel filtration.
        margin: width of a frame around the image, in pixels; filled by `fill_frame`.
        keys: ``(cells,)`` int32, written to: the layout of ``(H + 2 margin) × (W + 2 margin)`` pixels.

    Returns:
        Whether all values are finite.
    """
    rows, columns = image.shape
    fill_padding(keys, rows + 2 * margin, columns + 2 * margin, 0x7FFFFFFF)
    flip = np.int32(0) if sign > 0 else np.int32(-0x80000000)
    finite = True
    for r in range(rows):
        start = (r + margin + 1) * (columns + 2 * margin + 1) + margin + 1
        finite &= _float32_row(image[r], flip, keys[start : start + columns])
    return finite


@kernel
def _float32_row(values, flip, keys):
    largest = np.int32(0)
    for c in range(values.size):
        bits = np.float32(values[c]).view(np.int32)
        magnitude = bits & np.int32(0x7FFFFFFF)
        largest = max(largest, magnitude)
        negative = (bits ^ flip) >> np.int32(31)  # all ones for a negative number
        keys[c] = (magnitude ^ negative) - negative  # −0.0 and 0.0 both become 0
    return largest < np.int32(0x7F800000)


@kernel
def keys_from_float64(image, sign, margin, keys):
    """`keys_from_float32` for float64 images and int64 keys."""
    rows, columns = image.shape
    fill_padding(keys, rows + 2 * margin, columns + 2 * margin, 0x7FFFFFFFFFFFFFFF)
    bits = image.view(np.int64)
    flip = np.int64(0) if sign > 0 else np.int64(-0x8000000000000000)
    finite = True
    for r in range(rows):
        start = (r + margin + 1) * (columns + 2 * margin + 1) + margin + 1
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
def fits_float32(image):
    """Return whether float32 represents every value of a float64 image (False for NaN)."""
    for r in range(image.shape[0]):
        same = True
        for c in range(image.shape[1]):
            same &= np.float64(np.float32(image[r, c])) == image[r, c]
        if not same:
            return False
    return True


@kernel
def set_cells(flags, cells):
    """Write the indices of the non-zero entries of ``flags`` to ``cells``; return their number."""
    count = 0
    words = flags.view(np.uint64)
    for w in range(words.size):
        if words[w] != 0:
            for p in range(8 * w, 8 * w + 8):
                cells[count] = p
                count += flags[p] != 0
    return count


@kernel
def fill_frame(keys, rows, columns, key):
    """Write ``key`` to the outermost pixels of an image of ``rows × columns``, frame included."""
    stride = columns + 1
    for r in range(rows):
        keys[(r + 1) * stride + 1] = key
        keys[(r + 1) * stride + columns] = key
    for c in range(columns):
        keys[stride + 1 + c] = key
        keys[rows * stride + 1 + c] = key


@kernel
def key_range(keys, rows, columns):
    """Return the smallest and the largest key of an image."""
    smallest = largest = keys[columns + 2]
    for r in range(rows):
        start = (r + 1) * (columns + 1) + 1
        row = keys[start : start + columns]
        for c in range(columns):
            smallest = min(smallest, row[c])
            largest = max(largest, row[c])
    return smallest, largest
