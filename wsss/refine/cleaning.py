"""Removal of small components of a class, and filling of small holes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from wsss.io.rasters.label_masks import IGNORE, foreground_values
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CleaningConfig(Settings):
    """Minimum sizes of components and holes; 0: off."""

    components: int = Field(
        default=0, ge=0, description="components of a class (8-connected) with fewer pixels become background; 0: off"
    )
    holes: int = Field(
        default=0,
        ge=0,
        description="holes (4-connected background that does not touch the image border) with fewer pixels become the "
        "surrounding class, unless uncertain pixels surround it more than any class; 0: off",
    )

    @property
    def provenance(self) -> dict[str, dict[str, int]]:
        """Entry for the provenance of scores: ``{"cleaned": {"components": …, "holes": …}}``; empty if both are off."""
        return {"cleaned": self.model_dump()} if self.components or self.holes else {}


def clean(mask: NDArray[np.uint8], config: CleaningConfig) -> NDArray[np.uint8]:
    """Remove small components, then fill small holes.

    A hole becomes the most frequent class among its neighbours. If most of them are uncertain it remains background:
    no class surrounds it, and what is certain does not become uncertain.

    Args:
        mask: ``(H, W)`` class indices, 0 = background; 255 (uncertain) does not change.
        config: minimum sizes.
    """
    cleaned = mask.copy()
    if config.components:
        for index in foreground_values(mask):
            for inside, _ in _small_components(cleaned == index, config.components, connectivity=8):
                cleaned[inside] = 0
    if config.holes:
        height, width = mask.shape
        for inside, (top, left, bottom, right) in _small_components(cleaned == 0, config.holes, connectivity=4):
            if top > 0 and left > 0 and bottom < height and right < width:
                value = _surrounding_value(cleaned, (top - 1, left - 1, bottom + 1, right + 1), inside)
                cleaned[inside] = 0 if value == IGNORE else value
    return cleaned


_Box = tuple[int, int, int, int]
_Inside = tuple["NDArray[np.intp]", "NDArray[np.intp]"]


def _small_components(region: NDArray[np.bool_], below: int, *, connectivity: int) -> list[tuple[_Inside, _Box]]:
    """Return pixels (rows, columns) and box (top, left, bottom, right) of the components below a size."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=connectivity)
    small: list[tuple[_Inside, _Box]] = []
    for number in range(1, count):
        left, top, width, height, size = stats[number].tolist()
        if size < below:
            rows, columns = np.nonzero(labels[top : top + height, left : left + width] == number)
            small.append(((rows + top, columns + left), (top, left, top + height, left + width)))
    return small


def _surrounding_value(mask: NDArray[np.uint8], box: _Box, inside: _Inside) -> int:
    """Return the most frequent value among the 4-neighbours of a hole; the smallest if there are several."""
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
