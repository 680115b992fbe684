"""Pieces of a wall on the pixel grid, and the exact Betti numbers of the mortar between them.

An image consists of mortar and *pieces* (everything else: bricks, windows …). `tidy` ensures that each piece is a
4-connected region without holes, and that no two pieces are 4-adjacent. The Betti numbers of the mortar (8-connected
foreground, 4-connected holes; the outside of the image is background) then follow without a topological algorithm:

- each piece that does not touch the image border is a hole, so ``β₁`` is the number of these pieces;
- every other piece is connected to the outside. If it touches the border along k segments, k − 1 loops run through the
  piece and the outside, and each loop separates a part of the mortar: ``β₀ = 1 + Σ (k − 1)`` (Alexander duality).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pieces = NDArray[np.int32]


def tidy(pieces: Pieces, *, min_area: int = 6) -> Pieces:
    """Make all pieces simply connected and separated by mortar.

    1. Where two pieces are 4-adjacent, the pixels of the piece with the higher number become mortar.
    2. A piece is reduced to its largest 4-connected region, or removed if that has fewer than ``min_area`` pixels.
    3. Regions enclosed by a piece become part of it, and so do regions of fewer than ``min_area`` pixels that are
       enclosed by a piece and the image border.

    Args:
        pieces: ``(H, W)`` int32; 0 is mortar, every other number is a piece.
        min_area: minimum area in pixels.

    Returns:
        A new array.
    """
    from scipy import ndimage

    tidied = pieces.copy()
    _separate(tidied)
    for number, box in _boxes(tidied):
        view = tidied[box]
        own = view == number
        patches, count = ndimage.label(own)
        if count > 1:
            areas = np.bincount(patches.ravel())[1:]
            own = patches == 1 + int(areas.argmax())
        if own.sum() < min_area:
            own[:] = False
        view[(view == number) & ~own] = 0
    for number, box in _boxes(tidied):
        _fill(tidied, number, box, min_area)
    return tidied


def betti_numbers_of(pieces: Pieces) -> tuple[int, int]:
    """Return (β₀, β₁) of the mortar between tidy pieces; see the module docstring.

    Raises:
        ValueError: the image contains no mortar.
    """
    if pieces.all():
        raise ValueError("no mortar between the pieces")
    edge = np.concatenate([pieces[0, :-1], pieces[:-1, -1], pieces[-1, :0:-1], pieces[:0:-1, 0]])  # clockwise
    starts = edge[edge != np.roll(edge, 1)]
    touching, segments = np.unique(starts[starts != 0], return_counts=True)
    inner = np.setdiff1d(np.unique(pieces), [0, *touching]).size
    return 1 + int((segments - 1).sum()), int(inner)


def _separate(pieces: Pieces) -> None:
    """Where two pieces are 4-adjacent, turn the pixels of the higher number into mortar."""
    for first, second in ((pieces[:, :-1], pieces[:, 1:]), (pieces[:-1], pieces[1:])):
        adjacent = (first != second) & (first != 0) & (second != 0)
        first_is_higher = first > second
        first[adjacent & first_is_higher] = 0
        second[adjacent & ~first_is_higher] = 0


def _boxes(pieces: Pieces) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield number and bounding box of each piece, in ascending order."""
    from scipy import ndimage

    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        if box is not None:
            yield number, box


def _fill(pieces: Pieces, number: int, box: tuple[slice, slice], min_area: int) -> None:
    """Add enclosed regions to a piece: all regions inside the image, and small ones at the image border."""
    from scipy import ndimage

    view = pieces[box]
    if not (view == number).any():  # enclosed by another piece
        return
    rows, columns = box
    inner_edges = (rows.start > 0, rows.stop < pieces.shape[0], columns.start > 0, columns.stop < pieces.shape[1])
    gaps, count = ndimage.label(view != number, structure=np.ones((3, 3)))  # mortar is 8-connected
    for gap in range(1, count + 1):
        region = gaps == gap
        top, bottom, left, right = region[0].any(), region[-1].any(), region[:, 0].any(), region[:, -1].any()
        if any(reaches and inner for reaches, inner in zip((top, bottom, left, right), inner_edges, strict=True)):
            continue  # not enclosed: extends beyond the box
        if region.sum() < min_area or not (top or bottom or left or right):
            view[region] = number
