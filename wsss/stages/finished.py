"""Whether what an interrupted stage left for an image is its result: readable, of its size, of known classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.data.sample import Classes, Sample


def check_mask(sample: Sample, *, out: Path, classes: Classes) -> None:
    """Read an image's mask in a stage's own folder.

    Raises:
        InvalidInput: it is damaged, of another size than its image, or holds a value that stands for no class.
    """
    from wsss.io.images import image_size
    from wsss.io.layout import mask_path
    from wsss.io.masks import read_mask

    path = mask_path(out, sample.id)
    classes.encode(read_mask(path, size=image_size(sample.image)), where=str(path))


def check_maps(sample: Sample, *, out: Path, classes: Classes) -> None:
    """Read an image's maps in a stage's own folder.

    Raises:
        InvalidInput: see `wsss.io.cams.read_cams`.
    """
    from wsss.data.artifacts import read_maps

    read_maps(out, sample, classes)


def check_probabilities(sample: Sample, *, out: Path, classes: Classes) -> None:
    """Read an image's class probabilities in a stage's own folder.

    Raises:
        InvalidInput: see `wsss.io.probabilities.read_probabilities`.
    """
    from wsss.io.images import image_size
    from wsss.io.layout import probability_path
    from wsss.io.probabilities import read_probabilities

    path = probability_path(out, sample.id)
    read_probabilities(path, classes=len(classes), size=image_size(sample.image))
