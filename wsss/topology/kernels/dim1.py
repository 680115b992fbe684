"""Dimension 1: holes, by Alexander duality the components of faces in the reversed filtration.

Read from the last edge to the first, an edge that closes a cycle of pixels joins the two faces on its sides. The
face component whose representative, its largest (value, index), is smaller dies, and the pair (edge, representative) is
the interval of a hole, born with the edge and filled by the face. All faces outside the image are one node that never
dies.

With the direction of time the roles of the images swap: image persistence needs the edges in the order of the *guest*
(prediction or label) and tracks the representatives of the *host*, the comparison image. The face of the host that dies
at the birth of a guest's interval identifies the interval when the host's own holes are matched.
"""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel
from wsss.topology.kernels.edge_sort import CRITICAL, UPDATE, edge_key, sides
from wsss.topology.kernels.tracking import better_face
from wsss.topology.kernels.unionfind import find


@kernel
def hole_intervals(events, count, keys, values, columns, links, births, deaths):
    """Compute the intervals of an image.

    Events that merged faces are removed, since they cannot merge components (`dim0`); the others move to the back.

    Args:
        events: ``(count,)`` sorted events, with or without events that merged components.
        keys: ``(cells,)`` keys of the pixels.
        values: ``(cells,)`` values of the faces.
        columns: width of the image.
        links: ``(cells,)`` uint32, the forest of faces.
        births: written to: the birth event of each interval.
        deaths: written to: the face that fills the hole.

    Returns:
        The number of intervals, and the index of the first remaining event.
    """
    intervals, first = 0, count
    for i in range(count - 1, -1, -1):
        event = events[i]
        events[first - 1] = event
        if not event & CRITICAL:
            first -= 1
            continue
        left, right = sides(event, columns)
        a, b = find(links, left), find(links, right)
        if a == b:
            first -= 1
            continue
        elder = better_face(values, a, b)
        younger = a ^ b ^ elder  # the other one
        links[younger] = elder
        births[intervals] = event
        deaths[intervals] = younger
        intervals += values[younger] != edge_key(event, keys, columns)
    return intervals, first


@kernel
def tracked_hole_intervals(events, count, keys, values, columns, links, host, best, births, deaths, known_by, numbers):
    """`hole_intervals` of a guest, with the face of the host that dies at each birth; return their number.

    Arguments beyond those of `hole_intervals`; the events exclude those that merged components:
        host: ``(cells,)`` values of the host's faces.
        best: ``(cells,)`` uint32: at roots, the component's best face under the host.
        known_by: written to: the face of the host that identifies each interval.
        numbers: ``(cells,)`` int32, -1 everywhere: written to: index of the interval by face of the host.
    """
    intervals = 0
    for i in range(count - 1, -1, -1):
        event = events[i]
        if event & UPDATE:
            left, right = sides(event, columns)
            root = find(links, left)
            best[root] = better_face(host, best[root], better_face(host, left, right))
        if not event & CRITICAL:
            continue
        left, right = sides(event, columns)
        a, b = find(links, left), find(links, right)
        elder = better_face(values, a, b)
        younger = a ^ b ^ elder  # the other one
        links[younger] = elder
        first, second = best[a], best[b]
        host_elder = better_face(host, first, second)
        best[elder] = host_elder
        if values[younger] != edge_key(event, keys, columns):
            births[intervals] = event
            deaths[intervals] = younger
            known_by[intervals] = first ^ second ^ host_elder
            numbers[known_by[intervals]] = intervals
            intervals += 1
    return intervals


@kernel
def hole_matches(host_deaths, numbers, matches):
    """Match the guests' intervals that are identified by the same face of the host; return the number of matches.

    Args:
        host_deaths: faces that fill the host's holes.
        numbers: two arrays of `tracked_hole_intervals`.
        matches: ``(n, 2)`` written to: indices of the matched intervals.
    """
    pairs = 0
    for face in host_deaths:
        first, second = numbers[0][np.int64(face)], numbers[1][np.int64(face)]
        if first >= 0 and second >= 0:
            matches[pairs, 0] = first
            matches[pairs, 1] = second
            pairs += 1
    return pairs
