"""Memory that a thread uses again for its next image: fresh pages cost more than the work done on them."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

KEPT_CELLS = 2**23
"""Larger workspaces (beyond about 2900², where some 500 MB are in use) are not kept for the next image."""


class Workspace(NamedTuple):
    """Flat arrays for one pair of images; ``cells`` is the length of the padded layout (`layout.cells_of`)."""

    keys: NDArray[Any]
    """(3, cells) int32 or int64: first image, second image, comparison image."""
    faces: NDArray[Any]
    """(2, cells) like keys: face values of the image at hand, and of the comparison image."""
    pixel_directions: NDArray[np.uint8]
    face_directions: NDArray[np.uint8]
    asking: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    links: NDArray[np.uint32]
    """(2, cells): forest of pixels, forest of faces."""
    best: NDArray[np.uint32]
    """(2, cells): representatives under other images."""
    numbers: NDArray[np.int32]
    """(4, cells), -1 between two calls: pixels that bear intervals (two images), faces intervals are known by (two)."""
    known_by: NDArray[np.uint32]
    """(2, cells): the faces the intervals of both images are known by."""
    events: NDArray[np.uint64]
    """(2, 2 * cells): sorted events, and scratch space."""
    births: NDArray[np.uint64]
    """(5, cells): a pixel or an event per interval: dimension 0 of both images, dimension 1 of all three images."""
    deaths: NDArray[np.uint64]
    matches: NDArray[np.int32]
    """(2, cells, 2): matched pairs of interval numbers per dimension."""


_kept = threading.local()


def workspace(cells: int, key: type[np.int32] | type[np.int64]) -> Workspace:
    """Return this thread's workspace for ``cells`` cells; the one before is given up when it doesn't fit."""
    held: Workspace | None = getattr(_kept, "workspace", None)
    if held is not None and held.keys.shape[1] == cells and held.keys.dtype == key:
        return held
    made = Workspace(
        keys=np.empty((3, cells), key),
        faces=np.empty((2, cells), key),
        pixel_directions=np.empty(cells, np.uint8),
        face_directions=np.empty(cells, np.uint8),
        asking=np.zeros(cells, np.uint8),
        flags=np.empty(cells, np.uint8),
        links=np.empty((2, cells), np.uint32),
        best=np.empty((2, cells), np.uint32),
        numbers=np.full((4, cells), -1, np.int32),
        known_by=np.empty((2, cells), np.uint32),
        events=np.empty((2, 2 * cells), np.uint64),
        births=np.empty((5, cells), np.uint64),
        deaths=np.empty((5, cells), np.uint64),
        matches=np.empty((2, cells, 2), np.int32),
    )
    _kept.workspace = made if cells <= KEPT_CELLS else None
    return made
