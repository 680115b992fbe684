"""Whether what an interrupted stage left for an image is its result: readable, of its size, of its classes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, listing

if TYPE_CHECKING:
    from wsss.data.sample import Classes, Sample


def check_mask(sample: Sample, *, out: Path, classes: Classes, allowed: Collection[int] | None = None) -> None:
    """Read an image's mask in a stage's own folder.

    Args:
        sample: the image.
        out: the stage's folder.
        classes: what the values of masks mean.
        allowed: class indices (255 = ignore) that the stage can have written; by default all, and 255.

    Raises:
        InvalidInput: it is damaged, of another size than its image, holds a value that the stage doesn't write, or is
            255 everywhere. A stage may write that, too; then computing it again costs time and changes nothing.
    """
    import numpy as np

    from wsss.io.files.stage_files import mask_path
    from wsss.io.rasters.label_masks import IGNORE, read_mask
    from wsss.io.rasters.rgb_images import image_size

    path = mask_path(out, sample.id)
    possible = (*range(len(classes)), IGNORE) if allowed is None else sorted(allowed)
    written = classes.decode(np.asarray(possible, np.uint8)).tolist()
    found = set(np.unique(read_mask(path, size=image_size(sample.image))).tolist())
    wrong = sorted(found - set(written))
    if wrong:
        expected = listing(sorted(set(written)), limit=30)
        raise InvalidInput(f"{path}: invalid mask value {listing(wrong)}; expected only {expected} for this image.")
    if found == {IGNORE}:
        raise InvalidInput(f"{path}: all pixels of the mask are ignored (255).")


def check_maps(
    sample: Sample,
    *,
    out: Path,
    classes: Classes,
    of: tuple[int, ...] | None = None,
    shape: tuple[int, int] | None = None,
    stride: int | None = None,
) -> None:
    """Read an image's maps in a stage's own folder.

    Args:
        sample: the image.
        out: the stage's folder.
        classes: of the dataset.
        of: class indices that have a map, where they are known.
        shape: height and width of the maps, where they are known; or
        stride: pixels of the image per element of a map.

    Raises:
        InvalidInput: see `wsss.io.rasters.cams.read_cams`; or they are of other classes or of another shape.
    """
    from wsss.data.artifacts import read_maps
    from wsss.io.files.stage_files import cam_path

    path, found = cam_path(out, sample.id), read_maps(out, sample, classes)
    if of is not None and found.classes != of:
        raise InvalidInput(f"{path}: maps of classes {found.classes}; expected {of}.")
    if stride is not None:
        shape = (-(-found.size[0] // stride), -(-found.size[1] // stride))
    if shape is not None and found.maps.shape[1:] != shape:
        raise InvalidInput(f"{path}: maps of shape {found.maps.shape[1:]}; expected {shape}.")


def check_probabilities(sample: Sample, *, out: Path, classes: Classes) -> None:
    """Read an image's class probabilities in a stage's own folder.

    Raises:
        InvalidInput: see `wsss.io.rasters.probabilities.read_probabilities`.
    """
    from wsss.io.files.stage_files import probability_path
    from wsss.io.rasters.probabilities import read_probabilities
    from wsss.io.rasters.rgb_images import image_size

    path = probability_path(out, sample.id)
    read_probabilities(path, classes=len(classes), size=image_size(sample.image))
