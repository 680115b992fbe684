"""Reduced working size of large images, and upsampling of rows of the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MaxSide = Annotated[
    int | None, Field(ge=16, description="maximum side length in pixels; larger images are downscaled; null: no limit")
]
"""Config field ``max_side``."""


def reduction(size: Sequence[int], max_side: int | None) -> float:
    """Return the factor ≤ 1 that limits an image of size (height, width) to ``max_side``."""
    return 1.0 if max_side is None else min(1.0, max_side / max(size))


def scaled_size(size: Sequence[int], factor: float) -> tuple[int, int]:
    """Return (height, width) times a factor, rounded, at least 1 pixel."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def working_size(size: Sequence[int], max_side: int | None) -> tuple[int, int]:
    """Return ``size`` (height, width), downscaled to a longer side of at most ``max_side`` pixels."""
    return scaled_size(size, reduction(size, max_side))


def bilinear_rows(
    height: int, full: int, rows: slice
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return source rows and weights of bilinear upsampling.

    Pixel centres are aligned as in ``F.interpolate(…, align_corners=False)`` and ``cv2.resize``.

    Args:
        height: rows of the source array.
        full: rows of the upsampled array.
        rows: range of upsampled rows.

    Returns:
        For each row, the index of the source row above and below, and the weight in [0, 1] of the row below.
    """
    import numpy as np

    position = (np.arange(rows.start, rows.stop) + 0.5) * height / full - 0.5
    position = position.clip(0, height - 1)
    above = position.astype(np.intp)
    return above, np.minimum(above + 1, height - 1), (position - above).astype(np.float32)
