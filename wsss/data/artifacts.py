"""Per-image results of a stage, validated against the image and the dataset's classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsss.data.classes import Classes
from wsss.data.sample import Sample
from wsss.io.files.stage_files import cam_path, mask_path, probability_path
from wsss.io.rasters.cams import Cams, read_cams
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.probabilities import read_probabilities
from wsss.io.rasters.rgb_images import image_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_maps(folder: Path, sample: Sample, classes: Classes, *, size: tuple[int, ...] | None = None) -> Cams:
    """Read the class activation maps of an image.

    Args:
        folder: output folder of a stage that writes maps.
        size: (H, W) of the image; ``None`` reads it from the image header.

    Raises:
        InvalidInput: the image is unreadable, or see `wsss.io.rasters.cams.read_cams`.
    """
    height, width = size or image_size(*sample.source)
    return read_cams(cam_path(folder, sample.id), size=(height, width), classes=len(classes))


def read_class_probabilities(
    folder: Path, sample: Sample, classes: Classes, *, size: tuple[int, ...] | None = None
) -> NDArray[np.float16]:
    """Read the class probabilities of an image, ``(C, H, W)`` float16.

    Args:
        folder: output folder of a stage that writes probabilities.
        size: see `read_maps`.

    Raises:
        InvalidInput: the image is unreadable, or see `wsss.io.rasters.probabilities.read_probabilities`.
    """
    path = probability_path(folder, sample.id)
    return read_probabilities(path, classes=len(classes), size=size or image_size(*sample.source))


def read_indices(folder: Path, id: str, classes: Classes, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read the mask of an image as class indices ``(H, W)``.

    Args:
        folder: output folder of a stage that writes masks, or of another command.
        size: expected (H, W).

    Raises:
        InvalidInput: see `wsss.io.rasters.label_masks.read_mask` and `Classes.encode`.
    """
    path = mask_path(folder, id)
    return classes.encode(read_mask(path, size=size), where=str(path))
