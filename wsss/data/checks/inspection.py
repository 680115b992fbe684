"""What the files of one sample hold: read, measured, and compared with each other, without stopping at an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.classes import Classes
from wsss.data.sample import Sample
from wsss.data.truth import load_truth
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import BROKEN_HINT, frames, open_image, orientation, read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNREADABLE = "images that can't be read"
UNREADABLE_HINT = (
    "Restore the files, or leave them out: `wsss init --force` writes lists without them, or take their ids out of the "
    "lists of the splits."
)
SEVERAL = "images of several frames or pages, of which the first is used"
CONVERTED_MODES = {
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "LAB": "Lab",
    "HSV": "HSV",
    "I;16": "16-bit",
    "I;16B": "16-bit",
    "I;16L": "16-bit",
    "I": "more than 8 bits",
}


@dataclass(frozen=True)
class Inspection:
    """What was found in one sample's files.

    Args:
        id: of the sample.
        size: ``(height, width)`` of the upright image, or ``None`` where it can't be read.
        pixels: mask pixels per class index 0 … K, and of 255 at the end: K + 2 counts; ``None`` without a mask.
        problems: (kind, message) of what makes the sample unusable or wrong.
        notes: (kind, message) of what works, and is worth knowing.
    """

    id: str
    size: tuple[int, int] | None = None
    pixels: tuple[int, ...] | None = None
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


@dataclass
class _Findings:
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def inspect_sample(sample: Sample, classes: Classes) -> Inspection:
    """Read the image and the mask of a sample and compare them with its labels; bad files are findings, not errors."""
    found = _Findings()
    size, raw_size = _inspect_image(sample.image, found)
    pixels = None
    if sample.mask is not None:
        mask = _inspect_mask(sample, sample.mask, classes, size, raw_size, found)
        if mask is not None:
            counts = np.bincount(mask.ravel(), minlength=256)
            pixels = (*map(int, counts[: len(classes)]), int(counts[IGNORE]))
            if sample.labels is not None:
                _compare(sample, classes, pixels, found)
    return Inspection(sample.id, size, pixels, tuple(found.problems), tuple(found.notes))


def _inspect_image(path: Path, found: _Findings) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Return (height, width) of the upright image and of the image as stored."""
    try:
        with open_image(path) as image:
            mode, turn, (width, height) = image.mode, orientation(image), image.size
            several = frames(image)
        if mode in CONVERTED_MODES:
            found.notes.append(
                ("images of other kinds, converted to 8-bit RGB", f"{path.name} ({CONVERTED_MODES[mode]})")
            )
        elif mode == "F":
            read_image(path)  # says why it can't be used
    except InvalidInput as error:
        found.problems.append((UNREADABLE, error.message if error.hint == BROKEN_HINT else str(error)))
        return None, None
    if several > 1:
        found.notes.append((SEVERAL, f"{path.name} ({several})"))
    if turn > 1:
        found.notes.append(("images turned upright by their EXIF orientation", path.name))
    raw = (height, width)
    return ((width, height) if turn >= 5 else raw), raw


def _inspect_mask(
    sample: Sample,
    path: Path,
    classes: Classes,
    size: tuple[int, int] | None,
    raw_size: tuple[int, int] | None,
    found: _Findings,
) -> NDArray[np.uint8] | None:
    """Return the mask as class indices, or ``None`` where it is broken."""
    try:
        mask, remarks = load_truth(sample, classes)
    except InvalidInput as error:
        found.problems.append(("masks that can't be used", str(error)))
        return None
    found.notes += remarks
    if size is not None and raw_size is not None and mask.shape != size:
        message = f"{path}: {mask.shape[1]}×{mask.shape[0]} (width×height), its image {size[1]}×{size[0]}"
        if mask.shape == raw_size:
            message += "; it fits the image as stored: draw it on the image turned upright by its EXIF orientation"
        found.problems.append(("masks of another size than their image", message))
    return mask


def _compare(sample: Sample, classes: Classes, pixels: tuple[int, ...], found: _Findings) -> None:
    labelled = set(sample.labels or ())
    seen = {index for index in range(1, len(classes)) if pixels[index]}
    for index in sorted(seen - labelled - set(sample.unknown)):
        message = f"{sample.id}: {classes.names[index]!r} has {pixels[index]} pixels and no label"
        found.problems.append(("mask classes without a label", message))
    for index in sorted(labelled - seen):
        message = f"{sample.id}: {classes.names[index]!r} has a label and no pixel"
        if pixels[-1]:  # it may lie under pixels that are ignored
            found.notes.append(("labels without a pixel in masks that leave pixels out (255)", message))
        else:
            found.problems.append(("labels without a pixel in the mask", message))
