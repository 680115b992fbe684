"""Sorting of flagged edges.

An event is a 64-bit number with the edge's value in the upper half, and the edge's index and two flags in the lower
half. Its order is (value, row, column, type), that of the C++ reference.

int32 keys fit into the upper half. int64 keys are scaled to 32 bits, and runs of events with equal upper halves are
sorted again by their exact keys.
"""

from __future__ import annotations

import numpy as np

from wsss.topology.compiling import kernel
from wsss.topology.kernels.padded_layout import set_cells

CRITICAL, UPDATE = np.uint64(1), np.uint64(2)
"""Flags of an event: the edge may merge two components; representatives are updated."""

HALF = np.uint64(32)

DIGIT = 11
"""Bits per pass of the radix sort: a histogram of 2048 counts fits into the first-level cache."""


@kernel
def sorted_events(flags, keys, smallest, largest, columns, events, spare):
    """Write the flagged edges in ascending order to ``events``; return their number.

    Args:
        flags: ``(cells,)`` uint8, two bits for critical edges and two for updates (`gradient`, `tracking`).
        keys: ``(cells,)`` keys; ``smallest`` and ``largest`` are those of the image.
        columns: width of the image.
        events: ``(2 * cells,)`` uint64, written to. ``spare`` is scratch space of the same form.
    """
    shift = 0
    while ((np.int64(largest) >> shift) - (np.int64(smallest) >> shift)) >= 2**32 or (
        (np.int64(largest) >> shift) - (np.int64(smallest) >> shift) < 0
    ):
        shift += 1
    floor = np.int64(smallest) >> shift
    count = _extract(flags, keys, floor, shift, columns, events, spare)
    _radix_sort(events, spare, count, (np.int64(largest) >> shift) - floor)
    if shift > 0:
        _sort_ties(events, count, keys, columns)
    return count


@kernel
def _extract(flags, keys, floor, shift, columns, events, spare):
    flagged = set_cells(flags, spare)
    count = 0
    for i in range(flagged):
        p = spare[i]
        kinds = np.uint64(flags[p])
        # Both edges are written, but only flagged ones counted, which avoids an unpredictable branch.
        down = np.uint64((np.int64(max(keys[p], keys[p + np.uint64(columns + 1)])) >> shift) - floor)
        right = np.uint64((np.int64(max(keys[p], keys[p + np.uint64(1)])) >> shift) - floor)
        edge = p << np.uint64(3)
        events[count] = (down << HALF) | edge | (kinds & CRITICAL) | ((kinds >> np.uint64(1)) & UPDATE)
        count += (kinds & np.uint64(5)) != 0
        edge |= np.uint64(4) | ((kinds >> np.uint64(1)) & CRITICAL) | ((kinds >> np.uint64(2)) & UPDATE)
        events[count] = (right << HALF) | edge
        count += (kinds & np.uint64(10)) != 0
    return count


@kernel
def _radix_sort(events, spare, count, spread):
    """Sort by the upper halves, least significant digit first; stable, so that equal values keep the order of edges."""
    counts = np.empty(1 << DIGIT, np.int64)
    mask = np.uint64((1 << DIGIT) - 1)
    source, target = events[:count], spare[:count]
    done = 0
    while (spread >> done) > 0:
        low = np.uint64(32 + done)
        counts[:] = 0
        for i in range(count):
            counts[(source[i] >> low) & mask] += 1
        total = 0
        for digit in range(counts.size):
            here = counts[digit]
            counts[digit] = total
            total += here
        for i in range(count):
            event = source[i]
            digit = (event >> low) & mask
            target[counts[digit]] = event
            counts[digit] += 1
        source, target = target, source
        done += DIGIT
    if (done // DIGIT) % 2 == 1:
        for i in range(count):
            events[i] = spare[i]


@kernel
def _sort_ties(events, count, keys, columns):
    """Sort runs of events with equal upper halves by (exact key, edge): Shell's sort, in place."""
    start = 0
    while start < count:
        end = start + 1
        while end < count and events[end] >> np.uint64(32) == events[start] >> np.uint64(32):
            end += 1
        gap = end - start
        while gap > 1:
            gap = max(1, gap * 5 // 11)
            for i in range(start + gap, end):
                event = events[i]
                key = edge_key(event, keys, columns)
                j = i
                while j >= start + gap and _after(events[j - gap], event, key, keys, columns):
                    events[j] = events[j - gap]
                    j -= gap
                events[j] = event
        start = end


@kernel
def _after(event, other, other_key, keys, columns):
    key = edge_key(event, keys, columns)
    return key > other_key or (key == other_key and event > other)


@kernel
def ends(event, columns):
    """Return the two pixels of an event's edge."""
    p = (event & np.uint64(0xFFFFFFFF)) >> np.uint64(3)
    if event & np.uint64(4):
        return p, p + np.uint64(1)
    return p, p + np.uint64(columns + 1)


@kernel
def sides(event, columns):
    """Return the two faces on both sides of an event's edge."""
    p = (event & np.uint64(0xFFFFFFFF)) >> np.uint64(3)
    if event & np.uint64(4):
        return p - np.uint64(columns + 1), p
    return p - np.uint64(1), p


@kernel
def edge_key(event, keys, columns):
    """Return the exact key of an event's edge: the larger one of its pixels."""
    p, q = ends(event, columns)
    return max(keys[p], keys[q])
