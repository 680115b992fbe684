"""The size at which large images are worked on, and rows of the result enlarged to full size again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def reduction(size: Sequence[int], max_side: int | None) -> float:
    """Return the factor, at most 1, by which ``max_side`` makes images of a size (height, width) smaller."""
    return 1.0 if max_side is None else min(1.0, max_side / max(size))


def scaled_size(size: Sequence[int], factor: float) -> tuple[int, int]:
    """Return (height, width) times a factor: rounded, at least 1 pixel."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def bilinear_rows(
    height: int, full: int, rows: slice
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return which rows of a small array make up some rows of the enlarged one, and by what weight.

    Pixel centres are aligned as ``F.interpolate(…, align_corners=False)`` and ``cv2.resize`` align them.

    Args:
        height: rows of the small array.
        full: rows of the enlarged one.
        rows: those of the enlarged one that are wanted.

    Returns:
        Index of the row above, of the row below, and the weight in [0, 1] of the row below, for each row.
    """
    position = (np.arange(rows.start, rows.stop) + 0.5) * height / full - 0.5
    position = position.clip(0, height - 1)
    above = position.astype(np.intp)
    return above, np.minimum(above + 1, height - 1), (position - above).astype(np.float32)
