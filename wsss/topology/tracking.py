"""Which cells can become the representative of a component in *another* image's filtration.

Betti matching compares, at a merge in one image (the *host*), the representatives two components have in another image
(the *guest*): their best cells under the guest's values. In dimension 0 the hosts' order is ascending and the best
pixel has the smallest (value, index); in dimension 1 it is descending and the best face has the largest.

Linking cells in advance (`gradient`) joins them too early for this: a linked cell counts only from the moment the host
reaches the edge it is linked along. So such a cell asks for an *update* at that edge, but only if it can matter, which
it cannot unless it is better than the cell it is linked to: that one is in the component already. The edge of an
update is flagged, and when it is processed, both its ends are offered as representatives; both are in the component
then, so it doesn't matter which of them asked.

Cells at the host's very first value need no moment: nothing of positive length can merge before all of them are
there. They are *offered at the start*, and only those that no neighbour along an edge of that value beats.

Cells at the guest's very last value matter to nobody: no interval of positive length begins (dimension 1: ends) there,
and they lose against all other cells. So any of them may stand for the others.
"""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel
from wsss.topology.gradient import DOWN, GOES_DOWN, GOES_RIGHT, LEFT, ONE, RIGHT, ROOT, UP
from wsss.topology.layout import set_cells
from wsss.topology.unionfind import find


@kernel
def ask_pixels(directions, host, first_value, guest, last_value, columns, asking):
    """Add to ``asking`` the direction of each pixel whose link leads to a pixel that is worse under ``guest``."""
    s = np.uint64(columns + 1)
    for p in range(s, np.uint64(host.size) - s - ONE):
        d = directions[p]
        k = guest[p]
        up, left, down, right = guest[p - s], guest[p - ONE], guest[p + s], guest[p + ONE]
        beats = ((d == UP) & (k < up)) | ((d == LEFT) & (k < left))
        beats |= ((d == DOWN) & (k <= down)) | ((d == RIGHT) & (k <= right))
        asking[p] |= d if beats & (host[p] != first_value) & (k != last_value) else ROOT


@kernel
def ask_faces(directions, host, first_value, guest, last_value, columns, asking):
    """Add to ``asking`` the direction of each face whose link leads to a face that is worse under ``guest``."""
    s = np.uint64(columns + 1)
    for p in range(s, np.uint64(host.size) - s - ONE):
        d = directions[p]
        k = guest[p]
        up, down, right = guest[p - s], guest[p + s], guest[p + ONE]
        beats = ((d == UP) & (k >= up)) | ((d == DOWN) & (k > down)) | ((d == RIGHT) & (k > right))
        asking[p] |= d if beats & (host[p] != first_value) & (k != last_value) else ROOT


@kernel
def flag_pixel_updates(asking, columns, flags):
    """Flag the edges that asking pixels are linked along."""
    s = np.uint64(columns + 1)
    two, zero = np.uint8(2), np.uint8(0)
    for p in range(s, np.uint64(flags.size) - s - ONE):
        down = (asking[p] == DOWN) | (asking[p + s] == UP)
        right = (asking[p] == RIGHT) | (asking[p + ONE] == LEFT)
        flags[p] |= ((GOES_DOWN if down else zero) | (GOES_RIGHT if right else zero)) << two


@kernel
def flag_face_updates(asking, columns, flags):
    """Flag the edges that asking faces are linked along."""
    s = np.uint64(columns + 1)
    two, zero = np.uint8(2), np.uint8(0)
    for p in range(s, np.uint64(flags.size) - s - ONE):
        down = asking[p - ONE] == RIGHT
        right = (asking[p] == UP) | (asking[p - s] == DOWN)
        flags[p] |= ((GOES_DOWN if down else zero) | (GOES_RIGHT if right else zero)) << two


@kernel
def offer_first_pixels(host, first_value, guest, last_value, columns, offered, cells, links, best):
    """Give each root its best pixel under ``guest`` among those at the host's first (smallest) value."""
    _unbeaten_first_pixels(host, first_value, guest, last_value, columns, offered)
    for i in range(set_cells(offered, cells)):
        p = np.uint32(cells[i])
        root = find(links, p)
        best[root] = better_pixel(guest, best[root], p)


@kernel
def _unbeaten_first_pixels(host, first_value, guest, last_value, columns, offered):
    s = np.uint64(columns + 1)
    offered[:] = 0
    for p in range(s, np.uint64(host.size) - s - ONE):
        k = guest[p]
        beaten = (host[p - s] == first_value) & (guest[p - s] <= k)
        beaten |= (host[p - ONE] == first_value) & (guest[p - ONE] <= k)
        beaten |= (host[p + s] == first_value) & (guest[p + s] < k)
        beaten |= (host[p + ONE] == first_value) & (guest[p + ONE] < k)
        beaten |= (host[p] != first_value) | (k == last_value)
        offered[p] = ROOT if beaten else UP  # any code but ROOT says yes


@kernel
def offer_first_faces(host, keys, first_value, guest, last_value, columns, offered, cells, links, best):
    """Give each root its best face under ``guest`` among those at the host's first (largest) value.

    Two neighbouring faces are joined at that value only if the edge between them has it: ``keys`` are the host's
    pixels, ``host`` its faces.
    """
    _unbeaten_first_faces(host, keys, first_value, guest, last_value, columns, offered)
    for i in range(set_cells(offered, cells)):
        p = np.uint32(cells[i])
        root = find(links, p)
        best[root] = better_face(guest, best[root], p)


@kernel
def _unbeaten_first_faces(host, keys, first_value, guest, last_value, columns, offered):
    s = np.uint64(columns + 1)
    offered[:] = 0
    for p in range(s + ONE, np.uint64(host.size) - s - ONE):
        k = guest[p]
        here, right = keys[p] == first_value, keys[p + ONE] == first_value
        below, across = keys[p + s] == first_value, keys[p + s + ONE] == first_value
        beaten = ((here | right) & (guest[p - s] > k)) | ((here | below) & (guest[p - ONE] > k))
        beaten |= ((below | across) & (guest[p + s] >= k)) | ((right | across) & (guest[p + ONE] >= k))
        beaten |= (host[p] != first_value) | (k == last_value)
        offered[p] = ROOT if beaten else UP  # any code but ROOT says yes


@kernel
def drop_beaten_pixels(asking, cells, guests, links, best):
    """Let only those pixels ask that are better than what their root already has, under either guest."""
    first, second, best_first, best_second = guests[0], guests[1], best[0], best[1]
    for i in range(set_cells(asking, cells)):
        p = np.uint32(cells[i])
        root = find(links, p)
        beaten = (better_pixel(first, best_first[root], p) != p) & (better_pixel(second, best_second[root], p) != p)
        asking[p] = ROOT if beaten else asking[p]


@kernel
def drop_beaten_faces(asking, cells, guest, links, best):
    """Let only those faces ask that are better than what their root already has."""
    for i in range(set_cells(asking, cells)):
        p = np.uint32(cells[i])
        beaten = better_face(guest, best[find(links, p)], p) != p
        asking[p] = ROOT if beaten else asking[p]


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
