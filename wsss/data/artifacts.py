"""Per-image results of a stage, validated against the image and the dataset's classes."""

from __future__ import annotations

from pathlib import Path

from wsss.data.classes import Classes
from wsss.data.sample import Sample
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.cams import Cams, read_cams
from wsss.io.rasters.rgb_images import image_size


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
