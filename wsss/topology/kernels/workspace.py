"""Memory that each thread reuses for its next image, since allocating pages costs more than the computation."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

KEPT_CELLS = 2**23
"""Larger workspaces (above about 2900² pixels and 500 MB) are not kept for the next image."""


class Workspace(NamedTuple):
    """Flat arrays for one pair of images; ``cells`` is the length of the padded layout (`cells_of`)."""

    keys: NDArray[Any]
    """(3, cells) int32 or int64: first image, second image, comparison image."""
    faces: NDArray[Any]
    """(2, cells) like keys: face values of the current image and of the comparison image."""
    pixel_directions: NDArray[np.uint8]
    face_directions: NDArray[np.uint8]
    requests: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    links: NDArray[np.uint32]
    """(2, cells): forest of pixels, forest of faces."""
    best: NDArray[np.uint32]
    """(2, cells): representatives under other images."""
    numbers: NDArray[np.int32]
    """(4, cells), -1 between calls: interval index by birth pixel (two images), by identifying face (two)."""
    known_by: NDArray[np.uint32]
    """(2, cells): the faces that identify the intervals of both images."""
    events: NDArray[np.uint64]
    """(2, 2 * cells): sorted events, and scratch space."""
    births: NDArray[np.uint64]
    """(5, cells): pixel or event of each interval, dimension 0 of both images and dimension 1 of all three images."""
    deaths: NDArray[np.uint64]
    matches: NDArray[np.int32]
    """(2, cells, 2): matched pairs of interval indices per dimension."""


_threads = threading.local()


def workspace(cells: int, key: type[np.int32] | type[np.int64]) -> Workspace:
    """Return this thread's workspace for ``cells`` cells, a new one if the size or the type of keys has changed."""
    kept: Workspace | None = getattr(_threads, "workspace", None)
    if kept is not None and kept.keys.shape[1] == cells and kept.keys.dtype == key:
        return kept
    new = Workspace(
        keys=np.empty((3, cells), key),
        faces=np.empty((2, cells), key),
        pixel_directions=np.empty(cells, np.uint8),
        face_directions=np.empty(cells, np.uint8),
        requests=np.zeros(cells, np.uint8),
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
    _threads.workspace = new if cells <= KEPT_CELLS else None
    return new
