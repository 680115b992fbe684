"""Inspection of one sample: its image and mask are read and compared with its labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.classes import Classes
from wsss.data.sample import Sample
from wsss.data.sample_mask import load_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE, value_counts
from wsss.io.rasters.pixel_values.exif_rotation import orientation
from wsss.io.rasters.pixel_values.stored_pages import StoredPage, stored_page
from wsss.io.rasters.rgb_images import BROKEN_HINT, frames, image_errors, image_size, open_image, read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNREADABLE = "unreadable images"
UNREADABLE_HINT = (
    "Restore the files, or omit them: `wsss init --force` writes lists without them; or remove their ids from the "
    "lists of the splits."
)
SEVERAL = "images with several frames; the first is used"
CONVERTED_MODES = {"CMYK": "CMYK", "YCbCr": "YCbCr", "LAB": "Lab", "HSV": "HSV"}
CONVERTED = "images of other kinds, converted to 8-bit RGB"
NARROW = "images with little contrast after data.scaling"
MIN_CONTRAST = 32
"""Difference of the brightest and the darkest value (0 … 255) below which a scaled image has little contrast."""


@dataclass(frozen=True)
class Inspection:
    """The result of inspecting one sample.

    Args:
        size: ``(height, width)`` of the upright image; ``None`` if unreadable.
        pixels: K + 2 counts of mask pixels: of class indices 0 … K, and of 255; ``None`` without a mask.
        problems: (kind, message) pairs; they make the sample unusable.
        notes: (kind, message) pairs; they do not.
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
    """Read a sample's image and mask, and compare them with its labels; broken files do not raise errors."""
    findings = _Findings()
    size, raw_size = _inspect_image(sample, findings)
    pixels = None
    if sample.mask is not None:
        mask = _inspect_mask(sample, classes, size, raw_size, findings)
        if mask is not None:
            counts = value_counts(mask)
            pixels = (*map(int, counts[: len(classes)]), int(counts[IGNORE]))
            if sample.labels is not None:
                _compare(sample, classes, pixels, findings)
    return Inspection(sample.id, size, pixels, tuple(findings.problems), tuple(findings.notes))


def _inspect_image(sample: Sample, findings: _Findings) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Return (height, width) of the upright image and of the image as stored."""
    path = sample.image
    try:
        with image_errors(path):
            page = stored_page(path, sample.reading)
        if page is not None and not page.plain:
            pixels = read_image(*sample.source)
            _note_converted(sample, page, pixels, findings)
            return image_size(*sample.source), page.size
        with open_image(path, frame=0 if page is None else page.frame) as image:
            mode, turn, (width, height) = image.mode, orientation(image), image.size
            several = frames(image)
        if sample.reading.bands is not None:
            read_image(*sample.source)  # the bands may be missing
    except InvalidInput as error:
        findings.problems.append((UNREADABLE, error.message if error.hint == BROKEN_HINT else str(error)))
        return None, None
    if mode in CONVERTED_MODES:
        findings.notes.append((CONVERTED, f"{path.name} ({CONVERTED_MODES[mode]})"))
    if several > 1:
        findings.notes.append((SEVERAL, f"{path.name} ({several})"))
    if turn > 1:
        findings.notes.append(("images rotated by their EXIF orientation", path.name))
    raw = (height, width)
    return ((width, height) if turn >= 5 else raw), raw


def _note_converted(sample: Sample, page: StoredPage, pixels: NDArray[np.uint8], findings: _Findings) -> None:
    """Note the scaling and the bands of an image, and a scaling that leaves little contrast."""
    settings = {**sample.reading.to_json(), **({} if page.deep else {"scaling": None}), "page": None}
    stated = [f"data.{name}: {value}" for name, value in settings.items() if value is not None]
    findings.notes.append((CONVERTED, f"{sample.image.name} ({', '.join([page.depth, *stated])})"))
    low, high = int(pixels.min()), int(pixels.max())
    if page.deep and high - low < MIN_CONTRAST:
        findings.notes.append((NARROW, f"{sample.image.name} ({low} … {high} of 0 … 255)"))


def _inspect_mask(
    sample: Sample,
    classes: Classes,
    size: tuple[int, int] | None,
    raw_size: tuple[int, int] | None,
    findings: _Findings,
) -> NDArray[np.uint8] | None:
    """Return the mask as class indices; ``None`` if it is invalid."""
    try:
        mask, remarks = load_sample_mask(sample, classes)
    except InvalidInput as error:
        findings.problems.append(("invalid masks", str(error)))
        return None
    findings.notes += remarks
    if size is not None and raw_size is not None and mask.shape != size:
        message = f"{sample.mask_name}: {mask.shape[1]}×{mask.shape[0]} (width×height), its image {size[1]}×{size[0]}"
        if mask.shape == raw_size:
            message += "; it matches the image as stored: draw it on the image rotated by its EXIF orientation"
        findings.problems.append(("masks that differ in size from their image", message))
    return mask


def _compare(sample: Sample, classes: Classes, pixels: tuple[int, ...], findings: _Findings) -> None:
    labelled = set(sample.labels or ())
    seen = {index for index in range(1, len(classes)) if pixels[index]}
    for index in sorted(seen - labelled - set(sample.unknown)):
        message = f"{sample.id}: {classes.names[index]!r} has {pixels[index]} pixels but no label"
        findings.problems.append(("mask classes without a label", message))
    for index in sorted(labelled - seen):
        message = f"{sample.id}: {classes.names[index]!r} has a label but no pixel"
        if pixels[-1]:  # ignored pixels may belong to it
            findings.notes.append(("labels without a pixel in masks with ignored pixels (255)", message))
        else:
            findings.problems.append(("labels without a pixel in the mask", message))
