"""A sample: one image with its labels and its ground-truth mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, listing
from wsss.io.rasters.samples.reading import PLAIN, ImageSource, Reading

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.mask_values import MaskValues

Remark = tuple[str, str]
"""Something worth knowing about a file: the kind of remark, and a message that names the file."""


@dataclass(frozen=True)
class Sample:
    """One image with its labels and its ground-truth mask.

    Args:
        id: unique in the dataset; a file stem without folder.
        image: path of the image.
        labels: sorted indices (≥ 1) of the classes in the image; ``None`` if unlabelled.
        mask: path of the ground-truth mask, or ``None``.
        mask_values: meaning of the values of ``mask``, where they differ from `Classes.values`.
        unknown: sorted indices (≥ 1) of the classes that may or may not be in the image.
        reading: how the image is converted to 8-bit RGB.
    """

    id: str
    image: Path
    labels: tuple[int, ...] | None = None
    mask: Path | None = None
    mask_values: MaskValues | None = None
    unknown: tuple[int, ...] = ()
    reading: Reading = PLAIN

    @property
    def source(self) -> ImageSource:
        """The arguments of `wsss.io.rasters.rgb_images.read_image` and ``image_size``."""
        return ImageSource(self.image, self.reading)

    def mask_encoder(self, classes: Classes) -> Classes | MaskValues:
        """Return the object whose ``encode`` maps the values of the ground-truth mask to class indices."""
        return classes if self.mask_values is None else self.mask_values


def require_labels(samples: Sequence[Sample]) -> None:
    """Require image-level labels for each sample; an empty tuple (no class) is valid.

    Raises:
        InvalidInput: unlabelled samples.
    """
    missing = [sample.id for sample in samples if sample.labels is None]
    if missing:
        raise InvalidInput(
            f"{len(missing)} of {len(samples)} images have no image-level labels: {listing(missing)}",
            hint="Add them to the label file, or remove them from the split. `wsss data check` lists all.",
        )
