"""Drop what is too small to be meant: specks of a class, and holes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CleaningConfig(Settings):
    """How small is too small; 0 leaves things as they are."""

    components: int = Field(
        default=0, ge=0, description="components of a class (8-connected) below so many pixels become background"
    )
    holes: int = Field(
        default=0,
        ge=0,
        description="holes below so many pixels (background, 4-connected, away from the image's border) become the "
        "class around them",
    )

    @property
    def provenance(self) -> dict[str, dict[str, int]]:
        """What scores carry: ``{"cleaned": {"components": …, "holes": …}}``, or nothing where nothing is dropped."""
        return {"cleaned": self.model_dump()} if self.components or self.holes else {}


def clean(mask: NDArray[np.uint8], config: CleaningConfig) -> NDArray[np.uint8]:
    """Return the mask without small components, and then without small holes.

    Args:
        mask: ``(H, W)`` class indices, 0 = background; 255 (unsure) stays as it is.
        config: see `CleaningConfig`.
    """
    cleaned = mask.copy()
    if config.components:
        for index in np.unique(mask[(mask > 0) & (mask < 255)]):
            for inside, _ in _small_parts(cleaned == index, config.components, connectivity=8):
                cleaned[inside] = 0
    if config.holes:
        height, width = mask.shape
        for inside, (top, left, bottom, right) in _small_parts(cleaned == 0, config.holes, connectivity=4):
            if top > 0 and left > 0 and bottom < height and right < width:
                cleaned[inside] = _around(cleaned, (top - 1, left - 1, bottom + 1, right + 1), inside)
    return cleaned


_Box = tuple[int, int, int, int]
_Inside = tuple["NDArray[np.intp]", "NDArray[np.intp]"]


def _small_parts(region: NDArray[np.bool_], below: int, *, connectivity: int) -> list[tuple[_Inside, _Box]]:
    """Return the pixels (rows, columns) and the box (top, left, bottom, right) of connected parts below a size."""
    import cv2

    count, parts, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=connectivity)
    found: list[tuple[_Inside, _Box]] = []
    for number in range(1, count):
        left, top, width, height, size = stats[number].tolist()
        if size < below:
            rows, columns = np.nonzero(parts[top : top + height, left : left + width] == number)
            found.append(((rows + top, columns + left), (top, left, top + height, left + width)))
    return found


def _around(mask: NDArray[np.uint8], box: _Box, inside: _Inside) -> int:
    """Return the most frequent value among the 4-neighbours of a hole; the smaller of two equally frequent ones."""
    top, left, bottom, right = box
    hole = np.zeros((bottom - top, right - left), bool)
    hole[inside[0] - top, inside[1] - left] = True
    ring = np.zeros_like(hole)
    ring[1:] |= hole[:-1]
    ring[:-1] |= hole[1:]
    ring[:, 1:] |= hole[:, :-1]
    ring[:, :-1] |= hole[:, 1:]
    values = mask[top:bottom, left:right][ring & ~hole]
    return int(np.bincount(values).argmax())
