"""Cells that can become the representative of a component in *another* image's filtration.

Betti matching compares, at a merge in one image (the *host*), the representatives of two components in another image
(the *guest*): their best cells under the guest's values. In dimension 0 the host's order is ascending and the best
pixel has the smallest (value, index); in dimension 1 it is descending and the best face has the largest.

Linking cells in advance (`gradient`) joins them too early for this: a linked cell counts only from the time at which
the host reaches the edge of the link. Such a cell requests an *update* at that edge, but only if it is better than the
cell it is linked to, which is already in the component. The edge of an update is flagged; when it is processed, both
its ends, which are then in the component, are candidates for the representative.

Cells at the host's first value need no update, since no merge of positive length precedes them. They are
representatives *from the start* unless a neighbour along an edge of that value is better.

Cells at the guest's last value never matter: no interval of positive length begins (dimension 1: ends) there, and all
other cells are better, so that any of them may represent the others.
"""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel
from wsss.topology.kernels.gradient import DOWN, GOES_DOWN, GOES_RIGHT, LEFT, ONE, RIGHT, ROOT, UP
from wsss.topology.kernels.padded_layout import set_cells
from wsss.topology.kernels.unionfind import find

FIRST = np.uint8(8)
"""An additional direction code: a representative from the start."""


@kernel
def request_pixels(directions, host, first_value, guest, last_value, columns, requests):
    """Compute the pixels that may represent a component under ``guest``.

    Args:
        directions: ``(cells,)`` uint8, the host's gradient.
        host: ``(cells,)`` keys of the host; ``first_value`` is the smallest.
        guest: ``(cells,)`` keys of the guest; ``last_value`` is the largest.
        columns: width of the image.
        requests: ``(cells,)`` uint8, updated: `FIRST`, or the direction of a pixel whose link leads to a worse one.
    """
    s = np.uint64(columns + 1)
    for p in range(s + ONE, np.uint64(host.size) - s - ONE):
        d = directions[p]
        k = guest[p]
        up, left, down, right = guest[p - s], guest[p - ONE], guest[p + s], guest[p + ONE]
        beats = ((d == UP) & (k < up)) | ((d == LEFT) & (k < left))
        beats |= ((d == DOWN) & (k <= down)) | ((d == RIGHT) & (k <= right))
        beaten = (host[p - s] == first_value) & (up <= k)
        beaten |= (host[p - ONE] == first_value) & (left <= k)
        beaten |= (host[p + s] == first_value) & (down < k)
        beaten |= (host[p + ONE] == first_value) & (right < k)
        from_the_start = ROOT if beaten else FIRST
        later = d if beats else ROOT
        code = from_the_start if host[p] == first_value else later
        requests[p] |= ROOT if k == last_value else code


@kernel
def request_faces(directions, host, keys, first_value, guest, last_value, columns, requests):
    """Compute the faces that may represent a component under ``guest``.

    Neighbouring faces are joined at the host's first value only if their edge has that value.

    Args:
        directions: ``(cells,)`` uint8, the host's gradient on faces.
        host: ``(cells,)`` face values of the host; ``first_value`` is the largest inside the image.
        keys: ``(cells,)`` keys of the host's pixels.
        guest: ``(cells,)`` face values of the guest; ``last_value`` is the smallest.
        columns: width of the image.
        requests: ``(cells,)`` uint8, updated: `FIRST`, or the direction of a face whose link leads to a worse one.
    """
    s = np.uint64(columns + 1)
    for p in range(s + ONE, np.uint64(host.size) - s - ONE):
        d = directions[p]
        k = guest[p]
        up, left, down, right = guest[p - s], guest[p - ONE], guest[p + s], guest[p + ONE]
        beats = ((d == UP) & (k >= up)) | ((d == DOWN) & (k > down)) | ((d == RIGHT) & (k > right))
        here, beside = keys[p] == first_value, keys[p + ONE] == first_value
        below, across = keys[p + s] == first_value, keys[p + s + ONE] == first_value
        beaten = ((here | beside) & (up > k)) | ((here | below) & (left > k))
        beaten |= ((below | across) & (down >= k)) | ((beside | across) & (right >= k))
        from_the_start = ROOT if beaten else FIRST
        later = d if beats else ROOT
        code = from_the_start if host[p] == first_value else later
        requests[p] |= ROOT if k == last_value else code


@kernel
def settle_pixels(requests, cells, guests, links, best):
    """Set the representatives of roots from the start, and drop the requests of cells that are not better.

    Args:
        requests: ``(cells,)`` uint8 of `request_pixels`; entries that are settled or dropped are set to `ROOT`.
        cells: scratch space.
        guests: the keys of two guests, in rows.
        links: ``(cells,)`` uint32, the forest of pixels.
        best: two rows of representatives, updated at roots.
    """
    guest0, guest1, best0, best1 = guests[0], guests[1], best[0], best[1]
    count = set_cells(requests, cells)
    for i in range(count):
        p = np.uint32(cells[i])
        if requests[p] == FIRST:
            root = find(links, p)
            best0[root] = better_pixel(guest0, best0[root], p)
            best1[root] = better_pixel(guest1, best1[root], p)
            requests[p] = ROOT
    for i in range(count):
        p = np.uint32(cells[i])
        if requests[p] != ROOT:
            root = find(links, p)
            beaten = (better_pixel(guest0, best0[root], p) != p) & (better_pixel(guest1, best1[root], p) != p)
            requests[p] = ROOT if beaten else requests[p]


@kernel
def settle_faces(requests, cells, guest, links, best):
    """`settle_pixels` for faces and one guest."""
    count = set_cells(requests, cells)
    for i in range(count):
        p = np.uint32(cells[i])
        if requests[p] == FIRST:
            root = find(links, p)
            best[root] = better_face(guest, best[root], p)
            requests[p] = ROOT
    for i in range(count):
        p = np.uint32(cells[i])
        if requests[p] != ROOT:
            beaten = better_face(guest, best[find(links, p)], p) != p
            requests[p] = ROOT if beaten else requests[p]


@kernel
def flag_pixel_updates(requests, columns, flags):
    """Flag the edges of the links of requesting pixels."""
    s = np.uint64(columns + 1)
    two, zero = np.uint8(2), np.uint8(0)
    for p in range(s, np.uint64(flags.size) - s - ONE):
        down = (requests[p] == DOWN) | (requests[p + s] == UP)
        right = (requests[p] == RIGHT) | (requests[p + ONE] == LEFT)
        flags[p] |= ((GOES_DOWN if down else zero) | (GOES_RIGHT if right else zero)) << two


@kernel
def flag_face_updates(requests, columns, flags):
    """Flag the edges of the links of requesting faces."""
    s = np.uint64(columns + 1)
    two, zero = np.uint8(2), np.uint8(0)
    for p in range(s, np.uint64(flags.size) - s - ONE):
        down = requests[p - ONE] == RIGHT
        right = (requests[p] == UP) | (requests[p - s] == DOWN)
        flags[p] |= ((GOES_DOWN if down else zero) | (GOES_RIGHT if right else zero)) << two


@kernel
def better_pixel(guest, a, b):
    """Return the elder of two pixels: smaller (value, index)."""
    x, y = guest[a], guest[b]
    first = (x < y) | ((x == y) & (a < b))
    return np.uint32(a if first else b)


@kernel
def better_face(guest, a, b):
    """Return the elder of two faces: larger (value, index)."""
    x, y = guest[a], guest[b]
    first = (x > y) | ((x == y) & (a > b))
    return np.uint32(a if first else b)
