"""Barcodes and the induced matching of two images, from keys to pixels of intervals.

Both images map into their comparison image (for sublevel sets the pointwise minimum: the union of the sublevel sets).
Two intervals are matched if image persistence maps both to the same interval of the comparison image (Stucki et al.,
"Topologically faithful image segmentation via induced matching of persistence barcodes", ICML 2023); see `dim0` and
`dim1`.
"""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel
from wsss.topology.kernels.dim0 import component_intervals, component_matches
from wsss.topology.kernels.dim1 import hole_intervals, hole_matches, tracked_hole_intervals
from wsss.topology.kernels.edge_sort import sorted_events
from wsss.topology.kernels.gradient import (
    critical_edges,
    face_directions,
    face_values,
    link_faces,
    link_pixels,
    pixel_directions,
)
from wsss.topology.kernels.interval_pixels import birth_and_death_pixels
from wsss.topology.kernels.padded_layout import key_range
from wsss.topology.kernels.tracking import (
    flag_face_updates,
    flag_pixel_updates,
    request_faces,
    request_pixels,
    settle_faces,
    settle_pixels,
)
from wsss.topology.kernels.unionfind import find


@kernel
def intervals_of_image(rows, columns, w):
    """Barcode of the image in ``w.keys[0]``.

    Returns:
        The pixels of all intervals (`birth_and_death_pixels`) and the number of components.
    """
    keys, faces = w.keys[0], w.faces[0]
    face_values(keys, rows, columns, faces)
    smallest, largest = key_range(keys, rows, columns)
    _contract(keys, faces, rows, columns, w)
    count = sorted_events(w.flags, keys, smallest, largest, columns, w.events[0], w.events[1])
    n0, count = component_intervals(w.events[0], count, keys, columns, w.links[0], w.births[0], w.deaths[0])
    n1, _ = hole_intervals(w.events[0], count, keys, faces, columns, w.links[1], w.births[2], w.deaths[2])
    essential = find(w.links[0], columns + 2)
    births0, deaths0, births1, deaths1 = w.births[0, :n0], w.deaths[0, :n0], w.births[2, :n1], w.deaths[2, :n1]
    return birth_and_death_pixels(keys, faces, columns, births0, deaths0, births1, deaths1, essential), n0


@kernel
def match_images(rows, columns, w):
    """Barcodes of the images in ``w.keys[0]`` and ``w.keys[1]``, and their matching.

    Returns:
        The results of `intervals_of_image` for both images, and per dimension an ``(m, 2)`` array of indices of matched
        intervals (in the first image, in the second).
    """
    host, host_faces = w.keys[2], w.faces[1]
    np.minimum(w.keys[0], w.keys[1], host)
    face_values(host, rows, columns, host_faces)
    smallest0, largest0 = key_range(w.keys[0], rows, columns)
    smallest1, largest1 = key_range(w.keys[1], rows, columns)
    smallest = min(smallest0, smallest1)
    first = _image_intervals(0, rows, columns, smallest0, largest0, smallest, w)
    second = _image_intervals(1, rows, columns, smallest1, largest1, smallest, w)

    _contract(host, host_faces, rows, columns, w)
    _identity(w.best[0])
    _identity(w.best[1])
    w.requests[:] = 0
    request_pixels(w.pixel_directions, host, smallest, w.keys[0], largest0, columns, w.requests)
    request_pixels(w.pixel_directions, host, smallest, w.keys[1], largest1, columns, w.requests)
    settle_pixels(w.requests, w.events[1], w.keys, w.links[0], w.best)
    flag_pixel_updates(w.requests, columns, w.flags)
    count = sorted_events(w.flags, host, smallest, min(largest0, largest1), columns, w.events[0], w.events[1])
    n, start = hole_intervals(w.events[0], count, host, host_faces, columns, w.links[1], w.births[4], w.deaths[4])
    m1 = hole_matches(w.deaths[4, :n], w.numbers[2:], w.matches[1])
    m0 = component_matches(
        w.events[0, start:], count - start, host, columns, w.links[0], w.keys, w.best, w.numbers, w.matches[0]
    )
    for i in range(2):
        pixels, components = (first, second)[i]
        _reset(w.numbers[i], w.births[i, :components])
        _reset(w.numbers[2 + i], w.known_by[i, : pixels.size // 2 - components])
    return first, second, w.matches[0, :m0].copy(), w.matches[1, :m1].copy()


@kernel
def _image_intervals(i, rows, columns, smallest, largest, host_smallest, w):
    """Barcode of image ``i``; writes the indices for the matching to ``w.numbers[i]`` and ``w.numbers[2 + i]``."""
    keys, faces, host_faces = w.keys[i], w.faces[0], w.faces[1]
    face_values(keys, rows, columns, faces)
    _contract(keys, faces, rows, columns, w)
    _identity(w.best[0])
    w.requests[:] = 0
    request_faces(w.face_directions, faces, keys, largest, host_faces, host_smallest, columns, w.requests)
    settle_faces(w.requests, w.events[1], host_faces, w.links[1], w.best[0])
    flag_face_updates(w.requests, columns, w.flags)
    count = sorted_events(w.flags, keys, smallest, largest, columns, w.events[0], w.events[1])

    births0, deaths0, births1, deaths1 = w.births[i], w.deaths[i], w.births[2 + i], w.deaths[2 + i]
    n0, count = component_intervals(w.events[0], count, keys, columns, w.links[0], births0, deaths0)
    for n in range(n0):
        w.numbers[i, np.int64(births0[n])] = n
    essential = find(w.links[0], columns + 2)

    n1 = tracked_hole_intervals(
        w.events[0],
        count,
        keys,
        faces,
        columns,
        w.links[1],
        host_faces,
        w.best[0],
        births1,
        deaths1,
        w.known_by[i],
        w.numbers[2 + i],
    )
    pixels = birth_and_death_pixels(
        keys, faces, columns, births0[:n0], deaths0[:n0], births1[:n1], deaths1[:n1], essential
    )
    return pixels, n0


@kernel
def _contract(keys, faces, rows, columns, w):
    """Build both forests and flag the critical edges."""
    pixel_directions(keys, rows, columns, w.pixel_directions)
    face_directions(keys, faces, rows, columns, w.face_directions)
    critical_edges(w.pixel_directions, w.face_directions, rows, columns, w.flags)
    link_pixels(w.pixel_directions, rows, columns, w.links[0])
    link_faces(w.face_directions, rows, columns, w.links[1])


@kernel
def _identity(cells):
    for i in range(cells.size):
        cells[i] = i


@kernel
def _reset(numbers, cells):
    for cell in cells:
        numbers[np.int64(cell)] = -1
