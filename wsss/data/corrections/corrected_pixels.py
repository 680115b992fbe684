"""Use of corrected masks: their labelled pixels replace those of other masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.corrections.correction_folder import Corrections
from wsss.io.rasters.label_masks import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = tuple[int, ...]


@dataclass(frozen=True)
class CorrectedMasks:
    """The corrected masks of a list of images, by index; picklable.

    Args:
        corrections: the corrections; ``None``: there are none.
    """

    ids: Sequence[str]
    corrections: Corrections | None = None

    def __call__(self, index: int, size: Size) -> NDArray[np.uint8] | None:
        """Return the corrected mask ``(H, W)`` of an image, 255 = unlabelled; ``None`` if it has none.

        Raises:
            InvalidInput: the mask is missing, was changed, or has another size.
        """
        height, width = size
        return None if self.corrections is None else self.corrections.read(self.ids[index], (height, width))


def overridden(mask: NDArray[np.uint8], corrected: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return a mask ``(H, W)`` of class indices with the labelled pixels of a corrected one, if there is one."""
    return mask if corrected is None else np.where(corrected == IGNORE, mask, corrected)


def reduced_corrections(corrected: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Return a corrected mask ``(H, W)`` at a smaller size ``(h, w)``, in which thin lines and points remain.

    A pixel gets the label of the nearest pixel or, if that is unlabelled, of any labelled pixel in the area it covers.
    """
    import cv2

    if corrected.shape == tuple(size):
        return corrected
    nearest = np.asarray(cv2.resize(corrected, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    rows, columns = np.nonzero(corrected != IGNORE)
    marked = np.full(size, IGNORE, np.uint8)
    marked[rows * size[0] // corrected.shape[0], columns * size[1] // corrected.shape[1]] = corrected[rows, columns]
    return np.where(nearest == IGNORE, marked, nearest)


def overridden_probabilities(
    probabilities: NDArray[np.float16], corrected: NDArray[np.uint8] | None
) -> NDArray[np.float16]:
    """Return class probabilities ``(C, H, W)`` with probability 1 for the labels of a corrected mask."""
    if corrected is None:
        return probabilities
    changed = probabilities.copy()
    labelled = corrected != IGNORE
    changed[:, labelled] = 0
    changed[corrected[labelled], *np.nonzero(labelled)] = 1
    return changed


@dataclass(frozen=True)
class Coverage:
    """How many of some images have corrected masks, and which part of their pixels is labelled.

    Args:
        images: number of images with a corrected mask.
        of: number of all images.
    """

    images: int
    of: int
    labelled: int
    pixels: int

    def statement(self, images: str) -> str:
        """Return the coverage as a sentence without a full stop; ``images`` names the images."""
        share = 100 * self.labelled / self.pixels if self.pixels else 0.0
        return f"{self.images} of {self.of} {images} have corrected masks, {share:.1f} % of their pixels"

    @property
    def metrics(self) -> dict[str, int | float]:
        """The numbers, with the labelled fraction of the pixels of the corrected images."""
        return {
            "images": self.images,
            "of": self.of,
            "labelled_fraction": self.labelled / self.pixels if self.pixels else 0.0,
        }


def coverage(corrections: Corrections, ids: Sequence[str]) -> Coverage:
    """Return how many of some images have corrected masks, from the record of the corrections."""
    records = [corrections.images[id] for id in ids if id in corrections.images]
    pixels = sum(record.height * record.width for record in records)
    return Coverage(len(records), len(ids), sum(record.labelled for record in records), pixels)
