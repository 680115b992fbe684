"""The ground-truth mask of an image, drawn from the outlines of its objects in a COCO file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from wsss.data.coco.annotation_index import ANNOTATION
from wsss.data.coco.polygon_pixels import LEAST, polygon_pixels
from wsss.errors import InvalidInput, unreadable
from wsss.io.files.contained import open_to_read
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rle import decoded_rle

if TYPE_CHECKING:
    from numpy.typing import NDArray

RULE = "coco 1"
"""Identifier of the drawing rule; it changes whenever the rule changes the pixels of any mask."""

NO_OBJECT = np.uint32(2**32 - 1)
"""Area of background and crowds: more than that of any object."""


@dataclass(frozen=True)
class InstanceMask:
    """Draws the mask of one image; small and picklable, so that worker processes can draw.

    Args:
        size: height and width of the image in the file.
        places: bytes of an array of `ANNOTATION`: the annotations of the image.
    """

    file: Path
    image: int
    size: tuple[int, int]
    places: bytes

    @property
    def identity(self) -> str:
        """The part of a fingerprint that the content of the file does not determine."""
        return RULE

    def draw(self) -> NDArray[np.uint8]:
        """Return the mask ``(H, W)``: 0 for background, class numbers 1 to 254, and 255 for crowds.

        Crowds are drawn first, then objects from large to small (by their pixels), so that the smaller of two
        overlapping objects is on top; of objects of equal size, the later one in the file.

        Raises:
            InvalidInput: the file changed, or an outline is invalid; names file and annotation.
        """
        mask = np.zeros(self.size, np.uint8)
        # Area of the object on top of each pixel: one region at a time is in memory, however many objects there are.
        top = np.full(self.size, NO_OBJECT, np.uint32)
        try:
            with open_to_read(self.file) as file:
                for place in np.frombuffer(self.places, ANNOTATION):
                    annotation = self._read(file, int(place["at"]), int(place["length"]))
                    region = self._region(annotation)
                    area = NO_OBJECT if place["crowd"] else np.uint32(np.count_nonzero(region))
                    region &= top >= area
                    mask[region] = IGNORE if place["crowd"] else place["number"]
                    top[region] = area
        except OSError as error:
            raise unreadable(self.file, error) from error
        return mask

    def _read(self, file: BinaryIO, at: int, length: int) -> dict[str, Any]:
        try:
            annotation = json.loads(os.pread(file.fileno(), length, at))
        except (ValueError, RecursionError):
            annotation = None
        if not isinstance(annotation, dict) or annotation.get("image_id") != self.image:
            raise InvalidInput(
                "the file changed after it was indexed",
                subject=f"{self.file}: image {self.image}",
                hint="Run the same command again.",
            )
        return annotation

    def _region(self, annotation: dict[str, Any]) -> NDArray[np.bool_]:
        try:
            return region_of(annotation.get("segmentation"), self.size)
        except (ValueError, TypeError) as error:
            where = f"{self.file}: image {self.image}, annotation {annotation.get('id')}"
            raise InvalidInput(f"invalid segmentation: {error}", subject=where) from error


def region_of(outline: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels ``(H, W)`` of a ``segmentation``: the union of its polygons, or a run-length encoding.

    Polygons of fewer than three corners cover no pixel.

    Args:
        outline: lists of coordinates x, y, x, y …, or an object with ``size`` and ``counts`` (text or run lengths).
        size: height and width of the image.

    Raises:
        ValueError, TypeError: the outline is neither, or its size differs from that of the image.
    """
    if isinstance(outline, dict):
        return decoded_rle(outline, size)
    region = np.zeros(size, np.bool_)
    for flat in outline:
        ring = np.asarray(flat)
        if ring.ndim != 1 or len(ring) % 2 or ring.dtype.kind not in "iuf":  # large integers become objects
            raise ValueError("expected lists of an even number of coordinates")
        if len(ring) >= LEAST:
            region |= polygon_pixels(ring.astype(np.float64).reshape(-1, 2), size)
    return region
