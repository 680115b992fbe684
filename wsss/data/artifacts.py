"""Reading what one stage hands to another of an image, validated against the image and the dataset's classes."""

from __future__ import annotations

from pathlib import Path

from wsss.data.sample import Classes, Sample
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.cams import Cams, read_cams
from wsss.io.rasters.rgb_images import image_size


def read_maps(folder: Path, sample: Sample, classes: Classes, *, size: tuple[int, ...] | None = None) -> Cams:
    """Read an image's maps from a stage's folder.

    Args:
        folder: of a stage that provides maps, or any with its files.
        sample: the image.
        classes: of the dataset.
        size: (H, W) of the image, where it is known; else its header is read.

    Raises:
        InvalidInput: see `wsss.io.rasters.cams.read_cams`; or the image can't be read.
    """
    height, width = size or image_size(sample.image)
    return read_cams(cam_path(folder, sample.id), size=(height, width), classes=len(classes))
