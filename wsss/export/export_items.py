"""Masks to export, with their classes and images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import numpy as np

from wsss.data.classes import Classes
from wsss.data.sample import Sample
from wsss.data.sample_ids import without_suffix
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE, ignored_name, voc_palette
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading
from wsss.io.rasters.rgb_images import size_if_readable
from wsss.io.rasters.rle import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.mask_values import MaskValues

T = TypeVar("T")
UNKNOWN_IMAGES = (
    "Pass the folder of the dataset (--data.root DIR) or of its images (--data.images DIR); for masks without a "
    "dataset, --images DIR."
)
"""Hint of the error for masks whose images are unknown."""


@dataclass(frozen=True)
class Item:
    """A mask to export.

    Args:
        id: image id, unique in the export and valid as a file name.
        image: path of the image, if known.
        splits: splits of the dataset that contain the image.
        mask_values: meaning of the mask's values, if different from `Classes.values`.
        file: path of the image relative to the folder of images, with ``/`` as separator.
        stem: path of the output files without suffix (`naming.with_stems`).
        reading: how the image is converted to 8-bit RGB.
    """

    id: str
    mask: Path
    image: Path | None = None
    splits: tuple[str, ...] = ()
    mask_values: MaskValues | None = None
    file: str | None = None
    stem: str | None = None
    reading: Reading = PLAIN

    @property
    def file_name(self) -> str:
        """Name of the image in an export: its path, or its id with the suffix of its file."""
        return self.file or self.id + self.suffix

    @property
    def suffix(self) -> str:
        """Suffix of the image file; empty if unknown."""
        file = self.file or (self.image.name if self.image is not None else "")
        return file[len(without_suffix(file)) :]

    @property
    def name(self) -> str:
        """Name of the output files without suffix."""
        return self.stem or self.id


@dataclass(frozen=True)
class Options:
    """Export options; each format uses some of them.

    Args:
        min_area: minimum area of connected regions in pixels; smaller ones become background.
        components: export one object per connected region instead of one per class.
        keep_ignored: export uncertain pixels (255) as a class; otherwise they become background.
        with_images: copy the images, or link to them.
        tolerance: tolerance of polygon simplification, in pixels.
        opacity: opacity of the class colours in overlays, in [0, 1].
        contours: draw the outlines of regions in overlays.
        legend: draw the names of the classes below overlays.
        side_by_side: place the image to the left of the overlay.
        columns: number of columns of a contact sheet.
        rows: maximum number of rows of a page of a contact sheet.
        pages: file format of a contact sheet.
        role: import the masks into Label Studio as predictions or annotations.
        image_url: prefix of image names in Label Studio tasks.
    """

    min_area: int = 0
    components: bool = False
    keep_ignored: bool = True
    with_images: Literal["copy", "link"] | None = None
    tolerance: float = 1.0
    opacity: float = 0.5
    contours: bool = True
    legend: bool = True
    side_by_side: bool = False
    columns: int = 4
    rows: int = 6
    pages: Literal["png", "pdf"] = "png"
    role: Literal["predictions", "annotations"] = "predictions"
    image_url: str = "/data/local-files/?d="


@dataclass(frozen=True)
class Dropped:
    """Number of regions removed from a mask by ``min_area``, and whether no region is left."""

    regions: int
    emptied: bool


@dataclass(frozen=True)
class Masks:
    """The masks of an export.

    Args:
        name: display name (run and stage, or folder).
        classes: the classes, with their values on disk.
        dropped: id → regions removed by ``min_area``, for the masks read so far.
    """

    name: str
    classes: Classes
    items: tuple[Item, ...]
    dropped: dict[str, Dropped] = field(default_factory=dict, compare=False)

    def read(self, item: Item, options: Options, *, any_size: bool = False) -> NDArray[np.uint8]:
        """Return a mask as class indices ``(H, W)`` (255 = ignored), with ``min_area`` and ``keep_ignored`` applied.

        Args:
            any_size: the mask may differ in size from its image.

        Raises:
            InvalidInput: the mask is missing or broken, differs in size from its image, or contains an invalid value.
        """
        sample = Sample(item.id, item.mask, mask=item.mask, mask_values=item.mask_values)
        size = None if item.image is None or any_size else size_if_readable(item.image, item.reading)
        mask = read_sample_mask(sample, self.classes, size=size)
        if options.min_area > 1:
            mask, regions = without_small(mask, options.min_area)
            if regions:
                self.dropped[item.id] = Dropped(regions, emptied=not present(mask))
        if not options.keep_ignored:
            mask = np.where(mask == IGNORE, np.uint8(0), mask)
        return mask


class ParallelMap(Protocol):
    """Calls a function for every item, in parallel."""

    def __call__(self, work: Callable[[Item], T], items: Sequence[Item]) -> Iterator[tuple[Item, T]]:
        """Yield each item with its result, in order; failed items are recorded and skipped."""


@dataclass(frozen=True)
class Output:
    """Output of an export.

    Args:
        folder: an empty folder for the files.
        each: calls a function for every item.
        each_silently: the same without showing progress or recording failures, for a first pass.
        failed: id → error, for skipped items.
        renamed: name of an image or mask → its name in the export, for names that the format does not allow.
    """

    folder: Path
    each: ParallelMap
    each_silently: ParallelMap
    failed: dict[str, InvalidInput]
    renamed: dict[str, str]


def without_small(mask: NDArray[np.uint8], min_area: int) -> tuple[NDArray[np.uint8], int]:
    """Replace 8-connected regions of a class with fewer than ``min_area`` pixels by background.

    Returns:
        The mask, and the number of removed regions.
    """
    kept, dropped = mask.copy(), 0
    for index in present(mask):
        labels, sizes = _components(mask == index)
        small = sizes < min_area
        kept[small[labels] & (labels > 0)] = 0
        dropped += int(small[1:].sum())
    return kept, dropped


def present(mask: NDArray[np.uint8]) -> list[int]:
    """Return the class indices in a mask in ascending order, except background and 255."""
    values: list[int] = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()
    return [index for index in values if index not in (0, IGNORE)]


def properties_of(classes: Classes, index: int, region: Region) -> dict[str, object]:
    """Return the properties of an object in GeoJSON: its class, the value of the class, and its number of pixels."""
    return {"class": name_of(classes, index), "value": value_of(classes, index), "pixels": region.pixels}


def objects(mask: NDArray[np.uint8], options: Options) -> Iterator[tuple[int, Region]]:
    """Yield the objects of a mask as class index (255 for ignored pixels) and region.

    There is one object per class or, with ``options.components``, one per 8-connected region, in reading order of their
    first pixels. Ignored pixels are the last object.
    """
    from scipy.ndimage import find_objects

    for index in present(mask):
        region = mask == index
        if options.components:
            labels, _ = _components(region)
            for number, (rows, columns) in enumerate(find_objects(labels), start=1):
                yield index, Region(labels[rows, columns] == number, rows.start, columns.start, region.shape)
        else:
            yield index, Region.whole(region)
    ignored = mask == IGNORE
    if ignored.any():
        yield IGNORE, Region.whole(ignored)


def value_of(classes: Classes, index: int) -> int:
    """Return the value on disk of a class index; 255 for ignored pixels."""
    return IGNORE if index == IGNORE else classes.values[index][0]


def name_of(classes: Classes, index: int) -> str:
    """Return the name of a class; for 255 see `wsss.io.rasters.label_masks.ignored_name`."""
    return ignored_name(classes.names) if index == IGNORE else classes.names[index]


def colours(values: Iterable[int]) -> list[tuple[int, int, int]]:
    """Return the VOC colours of mask values, for exported masks and labels (overlays use `class_colours`)."""
    palette = voc_palette()
    return [(int(palette[value, 0]), int(palette[value, 1]), int(palette[value, 2])) for value in values]


def refuse_characters(names: Iterable[str], forbidden: str) -> None:
    """Require class names that a text format can represent.

    Raises:
        InvalidInput: a name is empty, starts or ends with a space, or contains a control or forbidden character.
    """
    for name in names:
        invalid = [character for character in name if ord(character) < 32 or character in forbidden]
        if invalid or not name or name != name.strip():
            why = f"contains {invalid[0]!r}" if invalid else "is empty, or starts or ends with a space"
            raise InvalidInput(
                f"the name {why}, which is invalid in this format",
                subject=f"class {name!r}",
                hint="Rename the class with data.classes (new name: [old name]).",
            )


def _components(region: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Label the 8-connected components; return the labels (0 outside the region) and the size of each label."""
    from scipy.ndimage import label

    labels: NDArray[np.int32] = label(region, np.ones((3, 3)))[0]
    return labels, np.bincount(labels.ravel())
