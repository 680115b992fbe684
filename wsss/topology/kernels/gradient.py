"""Contraction before sorting: a discrete gradient leaves only the edges that can matter.

The plain algorithm sorts all ``2N`` edges and merges pixels (dimension 0, ascending) and faces (dimension 1, in
reversed order) along them. Almost all these merges are trivial and are found without sorting, by one round of Borůvka's
algorithm on both sides of the plane:

- The first edge at a pixel, in the order of the edges, always merges that pixel; the merge has length zero, because
  the pixel and the edge appear together. So the pixel can be linked along its first edge in advance. The first edge
  leads to the first neighbour, in the order up, left, down, right, that is not above the pixel.
- Dually, the last edge around a face always merges that face. It is the lower edge if the face's maximum lies in its
  lower row; else the right one, if the maximum is the upper right pixel; else the upper one.

An edge that merges pixels never merges faces and the other way round (a spanning tree and its dual share no edge).
What remains are the *critical edges*: as many as there are roots of pixels and faces together.

The links are followed downhill (uphill for faces), so cycles are only possible between two cells whose first (last)
edge is the same one: there the smaller index is the root in dimension 0, the larger one in dimension 1. Exactness for
equal values: the extreme cell of a plateau (its smallest pixel, its largest face) is always a root, so the
representative of a component is a root whenever a merge of positive length asks for it, and roots are all a barcode
needs to know. At the moment an edge is processed, both its ends have already been linked to their roots, since the
first edge of a cell comes before all others at it.

All loops are free of branches and run over flat arrays with unsigned indices, so that the compiler vectorises them.
"""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel
from wsss.topology.kernels.padded_layout import OUTSIDE, fill_outside, fill_padding

ROOT = np.uint8(0)
"""Codes of directions: a root, or the direction of the linked cell."""
UP, LEFT, DOWN, RIGHT = np.uint8(1), np.uint8(2), np.uint8(3), np.uint8(4)

GOES_DOWN, GOES_RIGHT = np.uint8(1), np.uint8(2)
"""Flags at a pixel: its downward edge, its rightward edge. Critical edges; shifted by two: updates (`tracking`)."""

ONE = np.uint64(1)


@kernel
def pixel_directions(keys, rows, columns, directions):
    """Write for each pixel the direction of its first edge."""
    s = np.uint64(columns + 1)
    fill_padding(directions, rows, columns, ROOT)
    for r in range(rows):
        first = np.uint64(r + 1) * s + ONE
        for p in range(first, first + np.uint64(columns)):
            k = keys[p]
            up, left, down, right, up_right = keys[p - s], keys[p - ONE], keys[p + s], keys[p + ONE], keys[p + ONE - s]
            code = RIGHT if (right < k) | ((right == k) & (up_right <= k)) else ROOT
            code = DOWN if down < k else (ROOT if down == k else code)
            code = LEFT if left <= k else code
            directions[p] = UP if up <= k else code


@kernel
def face_values(keys, rows, columns, values):
    """Write the value of each face: the largest of its four pixels; the largest key for faces with padding."""
    s = np.uint64(columns + 1)
    fill_outside(values, rows, columns, keys[OUTSIDE])
    for p in range(s + ONE, np.uint64(rows) * s):
        values[p] = max(max(keys[p], keys[p + ONE]), max(keys[p + s], keys[p + s + ONE]))


@kernel
def face_directions(keys, values, rows, columns, directions):
    """Write for each face the direction of its last edge; faces outside the image are roots."""
    s = np.uint64(columns + 1)
    fill_outside(directions, rows, columns, ROOT)
    for r in range(rows - 1):
        first = np.uint64(r + 1) * s + ONE
        for p in range(first, first + np.uint64(columns - 1)):
            k = values[p]
            code = UP if values[p - s] != k else ROOT
            code = RIGHT if keys[p + ONE] == k else code
            directions[p] = DOWN if max(keys[p + s], keys[p + s + ONE]) == k else code


@kernel
def link_pixels(directions, rows, columns, links):
    """Convert directions to links to other pixels, skipping ahead along upward links."""
    stride = columns + 1
    for r in range(rows):
        i = (r + 1) * stride + 1
        above = links[i - stride : i - stride + columns]
        _link_row(directions[i : i + columns], UP, above, i, DOWN, stride, links[i : i + columns])


@kernel
def link_faces(directions, rows, columns, links):
    """Convert directions to links to other faces, skipping ahead along downward links; outside faces are one node."""
    stride = columns + 1
    fill_outside(links, rows, columns, OUTSIDE)
    for r in range(rows - 2, -1, -1):
        i = (r + 1) * stride + 1
        below = links[i + stride : i + stride + columns - 1]
        _link_row(directions[i : i + columns - 1], DOWN, below, i, UP, -stride, links[i : i + columns - 1])


@kernel
def _link_row(directions, skip, skipped_to, start, vertical, step, links):
    """Link one row. ``skip`` is the direction whose links are copied from the previous row, ``skipped_to``."""
    for c in range(directions.size):
        here = np.uint32(start + c)
        d = directions[c]
        q = here
        q = here - np.uint32(1) if d == LEFT else q
        q = here + np.uint32(1) if d == RIGHT else q
        q = np.uint32(here + step) if d == vertical else q
        ahead = skipped_to[c]
        links[c] = ahead if d == skip else q


@kernel
def critical_edges(pixels, faces, rows, columns, flags):
    """Flag the edges along which no pixel or face is linked."""
    s = np.uint64(columns + 1)
    zero = np.uint8(0)
    fill_padding(flags, rows, columns, zero)
    for p in range(s + ONE, np.uint64(rows + 1) * s):
        right = (pixels[p] == RIGHT) | (pixels[p + ONE] == LEFT) | (faces[p] == UP) | (faces[p - s] == DOWN)
        down = (pixels[p] == DOWN) | (pixels[p + s] == UP) | (faces[p - ONE] == RIGHT)
        flags[p] = (zero if down else GOES_DOWN) | (zero if right else GOES_RIGHT)
    for r in range(rows):  # edges that lead into padding do not count
        flags[np.uint64(r + 1) * s + np.uint64(columns)] &= GOES_DOWN
        flags[np.uint64(r + 2) * s] = zero
    last = np.uint64(rows) * s + ONE
    for p in range(last, last + np.uint64(columns)):
        flags[p] &= GOES_RIGHT
