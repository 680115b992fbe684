"""Dimension 0: connected components, by Kruskal's algorithm on the critical edges in ascending order.

When an edge joins two components, the younger one dies: the one whose representative, its smallest (value, index), is
larger. The pair (representative, edge) is an interval unless both have the same value. The elder's root stays a root,
so that a root *is* its component's representative under the image's own values."""

from __future__ import annotations

from wsss.topology.compiling import kernel
from wsss.topology.kernels.edge_sort import CRITICAL, UPDATE, ends
from wsss.topology.kernels.tracking import better_pixel
from wsss.topology.kernels.unionfind import find


@kernel
def component_intervals(events, count, keys, columns, links, births, deaths):
    """Compute the intervals of an image.

    Events that merged components are removed, since they cannot merge faces (`dim1`); the others move to the front.

    Args:
        events: ``(count,)`` sorted events.
        keys: ``(cells,)`` keys of the image.
        columns: width of the image.
        links: ``(cells,)`` uint32, the forest of pixels.
        births: written to: the birth pixel of each interval.
        deaths: written to: the death event of each interval.

    Returns:
        The number of intervals, and the number of remaining events.
    """
    intervals = kept = 0
    for i in range(count):
        event = events[i]
        events[kept] = event
        if not event & CRITICAL:
            kept += 1
            continue
        p, q = ends(event, columns)
        a, b = find(links, p), find(links, q)
        if a == b:
            kept += 1
            continue
        elder = better_pixel(keys, a, b)
        younger = a ^ b ^ elder  # the other one
        links[younger] = elder
        births[intervals] = younger
        deaths[intervals] = event
        intervals += keys[younger] != max(keys[p], keys[q])
    return intervals, kept


@kernel
def component_matches(events, count, keys, columns, links, guests, best, numbers, matches):
    """Match the intervals of two guests through the components of their comparison image; return the number of matches.

    At each merge of positive length in the comparison image, the representatives under both guests that die there
    identify the matched intervals.

    Args:
        events: ``(count,)`` sorted events of the comparison image, with updates and without events that merged faces.
        keys: ``(cells,)`` keys of the comparison image.
        columns: width of the image.
        links: ``(cells,)`` uint32, the forest of pixels.
        guests: two arrays ``(cells,)``: keys of both images.
        best: two arrays ``(cells,)`` uint32: at roots, the component's best pixel under each guest.
        numbers: two arrays ``(cells,)`` int32: index of the guest's interval born at a pixel, or -1.
        matches: ``(n, 2)`` written to: indices of the matched intervals.
    """
    guest0, guest1, best0, best1, numbers0, numbers1 = guests[0], guests[1], best[0], best[1], numbers[0], numbers[1]
    pairs = 0
    for i in range(count):
        event = events[i]
        if event & UPDATE:
            p, q = ends(event, columns)
            root = find(links, p)
            best0[root] = better_pixel(guest0, best0[root], better_pixel(guest0, p, q))
            best1[root] = better_pixel(guest1, best1[root], better_pixel(guest1, p, q))
        if not event & CRITICAL:
            continue
        p, q = ends(event, columns)
        a, b = find(links, p), find(links, q)  # never equal: the event would have merged faces
        elder = better_pixel(keys, a, b)
        younger = a ^ b ^ elder  # the other one
        links[younger] = elder
        killed0, best0[elder] = _contest(guest0, best0[a], best0[b])
        killed1, best1[elder] = _contest(guest1, best1[a], best1[b])
        first, second = numbers0[killed0], numbers1[killed1]
        matches[pairs, 0] = first
        matches[pairs, 1] = second
        pairs += (keys[younger] != max(keys[p], keys[q])) & (first >= 0) & (second >= 0)
    return pairs


@kernel
def _contest(guest, a, b):
    """Return (younger, elder) of two representatives."""
    elder = better_pixel(guest, a, b)
    return a ^ b ^ elder, elder
