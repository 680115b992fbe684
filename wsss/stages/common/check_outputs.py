"""Validation of the files that an interrupted stage wrote for an image: readable, with its size and its classes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, listing

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.sample import Sample


def check_mask(sample: Sample, *, out: Path, classes: Classes, allowed: Collection[int] | None = None) -> None:
    """Validate the mask of an image in the folder of the stage that wrote it.

    Args:
        sample: the image.
        out: folder of the stage.
        classes: classes, with their values on disk.
        allowed: class indices (255 = ignore) that the stage can write; by default all classes and 255.

    Raises:
        InvalidInput: the mask is damaged, differs in size from its image, has a value that the stage does not write, or
            is 255 everywhere: a stage may write that, but computing it again is safe.
    """
    import numpy as np

    from wsss.io.files.stage_files import mask_path
    from wsss.io.rasters.label_masks import IGNORE, read_mask, value_counts
    from wsss.io.rasters.rgb_images import image_size

    path = mask_path(out, sample.id)
    indices = (*range(len(classes)), IGNORE) if allowed is None else sorted(allowed)
    values = set(classes.decode(np.asarray(indices, np.uint8)).tolist())
    present = set(np.flatnonzero(value_counts(read_mask(path, size=image_size(*sample.source)))).tolist())
    invalid = sorted(present - values)
    if invalid:
        expected = listing(sorted(values), limit=30)
        raise InvalidInput("invalid mask value", subject=path, found=invalid, allowed=f"only {expected} for this image")
    if present == {IGNORE}:
        raise InvalidInput("all pixels of the mask are ignored (255)", subject=path)


def check_maps(
    sample: Sample,
    *,
    out: Path,
    classes: Classes,
    of: tuple[int, ...] | None = None,
    shape: tuple[int, int] | None = None,
    stride: int | None = None,
) -> None:
    """Validate the maps of an image in the folder of the stage that wrote them.

    Args:
        sample: the image.
        out: folder of the stage.
        classes: classes of the dataset.
        of: expected class indices, if known.
        shape: expected height and width of the maps, if known.
        stride: image pixels per map element, as an alternative to ``shape``.

    Raises:
        InvalidInput: see `wsss.io.rasters.cams.read_cams`; or classes or shape differ from the expected ones.
    """
    from wsss.data.artifacts import read_maps
    from wsss.io.files.stage_files import cam_path

    path, cams = cam_path(out, sample.id), read_maps(out, sample, classes)
    if of is not None and cams.classes != of:
        raise InvalidInput(subject=path, found=cams.classes, allowed=f"maps of the classes {listing(of) or 'none'}")
    if stride is not None:
        shape = (-(-cams.size[0] // stride), -(-cams.size[1] // stride))
    if shape is not None and cams.maps.shape[1:] != shape:
        raise InvalidInput(subject=path, found=cams.maps.shape[1:], allowed=f"maps of shape {listing(shape)}")


def check_probabilities(sample: Sample, *, out: Path, classes: Classes) -> None:
    """Validate the class probabilities of an image in the folder of the stage that wrote them.

    Raises:
        InvalidInput: see `wsss.io.rasters.probabilities.read_probabilities`.
    """
    from wsss.data.artifacts import read_class_probabilities

    read_class_probabilities(out, sample, classes)
