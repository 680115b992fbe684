"""A sample: one image with its labels and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wsss.errors import InvalidInput, listing
from wsss.io.rasters.pixel_values.reading import PLAIN, ImageSource, Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.mask_values import MaskValues

Remark = tuple[str, str]
"""A remark on a file: its kind, and a message that names the file."""


class MaskDrawing(Protocol):
    """Draws the mask of one image from a file that is not an image, such as annotations of many images.

    Implementations are picklable, and compare by value.
    """

    @property
    def file(self) -> Path:
        """The file; its content is part of the fingerprint."""

    @property
    def identity(self) -> str:
        """The part of the fingerprint that the content of the file does not determine, such as a version."""

    def draw(self) -> NDArray[np.uint8]:
        """Return the mask ``(H, W)``, values as in a mask file of the dataset.

        Raises:
            InvalidInput: the file does not describe a mask.
        """


@dataclass(frozen=True)
class Sample:
    """One image with its labels and its mask.

    Args:
        id: unique in the dataset; a file stem without folder.
        labels: sorted indices (≥ 1) of the classes in the image; ``None`` if unlabelled.
        mask: path of the ground truth or, after `with_masks`, of the mask that a stage takes as input; ``None`` if
            there is none. A file that is not an image needs a ``drawing``.
        mask_values: meaning of the values of ``mask``, where they differ from `Classes.values`.
        unknown: sorted indices (≥ 1) of the classes that may or may not be in the image.
        reading: how the image is converted to 8-bit RGB.
        drawing: draws the mask from ``mask``; ``None`` if that is an image.

    Raises:
        ValueError: ``drawing`` reads a different file than ``mask``, as after ``replace(sample, mask=…)``.
    """

    id: str
    image: Path
    labels: tuple[int, ...] | None = None
    mask: Path | None = None
    mask_values: MaskValues | None = None
    unknown: tuple[int, ...] = ()
    reading: Reading = PLAIN
    drawing: MaskDrawing | None = None

    def __post_init__(self) -> None:
        if self.drawing is not None and self.drawing.file != self.mask:
            raise ValueError(f"expected a drawing of {self.mask}, got one of {self.drawing.file}")

    @property
    def mask_name(self) -> str:
        """Name of the mask in messages: its file and, if that has the masks of many images, the id."""
        return str(self.mask) if self.drawing is None else f"{self.mask}: image {self.id}"

    @property
    def source(self) -> ImageSource:
        """The arguments of `wsss.io.rasters.rgb_images.read_image` and ``image_size``."""
        return ImageSource(self.image, self.reading)

    def mask_encoder(self, classes: Classes) -> Classes | MaskValues:
        """Return the object whose ``encode`` maps the values of ``mask`` to class indices."""
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
