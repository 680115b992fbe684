"""What is exported: masks with their classes, and what is known of their images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import numpy as np

from wsss.data.sample import Classes, Sample, read_truth
from wsss.data.sample_ids import without_suffix
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE, ignored_name, voc_palette
from wsss.io.rasters.rgb_images import size_if_readable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.masks.mask_values import MaskValues

T = TypeVar("T")
WHERE = (
    "Say where the dataset is (--data.root DIR) or its images are (--data.images DIR); for masks without a dataset, "
    "--images DIR."
)
"""Hint where images are not known."""


@dataclass(frozen=True)
class Item:
    """One mask.

    Args:
        id: unique in the export, and a file name.
        mask: the mask's file, with the dataset's own values.
        image: the image's file, or ``None`` where it is not known.
        splits: names of the dataset's splits that hold the image.
        mask_values: what the values of this mask mean, where they aren't `Classes.values`.
        file: the image's path below the folder of the images, with ``/``: what the user calls it.
        stem: what this mask's files are called in an export, without suffix; may have folders (`naming.with_stems`).
    """

    id: str
    mask: Path
    image: Path | None = None
    splits: tuple[str, ...] = ()
    mask_values: MaskValues | None = None
    file: str | None = None
    stem: str | None = None

    @property
    def file_name(self) -> str:
        """What the image is called in an export: as the user calls it, else its id with the suffix of its file."""
        return self.file or self.id + self.suffix

    @property
    def suffix(self) -> str:
        """The suffix of the image's file, empty where it is not known."""
        known = self.file or (self.image.name if self.image is not None else "")
        return known[len(without_suffix(known)) :]

    @property
    def name(self) -> str:
        """What the mask's files are called in an export, without suffix."""
        return self.stem or self.id


@dataclass(frozen=True)
class Options:
    """How masks are exported; each format looks at some of these.

    Args:
        min_area: connected regions with fewer pixels than this become background.
        components: one object per connected region rather than one per class.
        keep_ignored: export uncertain pixels (255) too, as a class of their own; else they become background.
        with_images: copy the images, link to them, or leave them where they are.
        tolerance: of polygons, in pixels.
        opacity: of the classes' colours over an image, 0 … 1.
        contours, legend, side_by_side: of overlays: lines round regions, names of the classes, the image beside it.
        columns, rows: of a contact sheet.
        pages: what a contact sheet is written as.
        role: what Label Studio takes the masks for.
        image_url: what stands before an image's name in Label Studio's tasks.
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
    """What ``min_area`` takes from a mask: the number of its regions, and whether no region is left."""

    regions: int
    emptied: bool


@dataclass(frozen=True)
class Masks:
    """All that is exported.

    Args:
        name: shown in the exports: the run and the stage, or the folder.
        classes: names, and values on disk.
        items: in order.
        dropped: id → what ``min_area`` takes from the mask, of masks that were read and lose a region.
    """

    name: str
    classes: Classes
    items: tuple[Item, ...]
    dropped: dict[str, Dropped] = field(default_factory=dict, compare=False)

    def read(self, item: Item, options: Options) -> NDArray[np.uint8]:
        """Return a mask as class indices (255 = ignored), as far as ``options`` leave it.

        Raises:
            InvalidInput: it is missing or broken, of another size than its image, or holds a value that stands for no
                class.
        """
        sample = Sample(item.id, item.mask, mask=item.mask, mask_values=item.mask_values)
        size = None if item.image is None else size_if_readable(item.image)  # formats that need the image refuse it
        mask = read_truth(sample, self.classes, size=size)
        if options.min_area > 1:
            mask, regions = without_small(mask, options.min_area)
            if regions:
                self.dropped[item.id] = Dropped(regions, emptied=not present(mask))
        if not options.keep_ignored:
            mask = np.where(mask == IGNORE, np.uint8(0), mask)
        return mask


class Each(Protocol):
    """Calls a function for every item, several at a time."""

    def __call__(self, work: Callable[[Item], T], items: Sequence[Item]) -> Iterator[tuple[Item, T]]:
        """Yield each item with what the function returned, in order; items that fail are noted and left out."""


@dataclass(frozen=True)
class Workshop:
    """Where an export is made, and how.

    Args:
        folder: an empty folder for the files.
        each: see there.
        each_quietly: the same without progress, and without noting what fails: for a look beforehand.
        failed: id → why, of the items that are left out.
        renamed: the user's name of an image or mask → its name in the export, where the format can't hold the first.
    """

    folder: Path
    each: Each
    each_quietly: Each
    failed: dict[str, InvalidInput]
    renamed: dict[str, str]


def without_small(mask: NDArray[np.uint8], min_area: int) -> tuple[NDArray[np.uint8], int]:
    """Return a mask whose regions of one class (8-connected) with fewer than ``min_area`` pixels are background.

    Returns:
        The mask, and the number of regions that became background.
    """
    kept, dropped = mask.copy(), 0
    for index in present(mask):
        labels, sizes = _components(mask == index)
        small = sizes < min_area
        kept[small[labels] & (labels > 0)] = 0
        dropped += int(small[1:].sum())
    return kept, dropped


def present(mask: NDArray[np.uint8]) -> list[int]:
    """Return the classes in a mask, in ascending order, without background and 255."""
    found: list[int] = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()
    return [index for index in found if index not in (0, IGNORE)]


def objects(mask: NDArray[np.uint8], options: Options) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the objects of a mask: class index (255 for ignored pixels), and pixels ``(H, W)`` bool.

    One object per class, or with ``options.components`` one per 8-connected region, in reading order of their first
    pixels; ignored pixels are one object, and the last.
    """
    for index in present(mask):
        region = mask == index
        if options.components:
            labels, sizes = _components(region)
            for number in range(1, len(sizes)):
                yield index, labels == number
        else:
            yield index, region
    ignored = mask == IGNORE
    if ignored.any():
        yield IGNORE, ignored


def box(region: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the bounding box of a region that isn't empty: x, y, width, height in pixels."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    top, left = int(rows[0]), int(columns[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def value_of(classes: Classes, index: int) -> int:
    """Return the value on disk that stands for a class index; 255 stays 255."""
    return IGNORE if index == IGNORE else classes.values[index][0]


def name_of(classes: Classes, index: int) -> str:
    """Return a class's name; 255 is called as `wsss.io.rasters.label_masks.ignored_name` says."""
    return ignored_name(classes.names) if index == IGNORE else classes.names[index]


def colours(values: Iterable[int]) -> list[tuple[int, int, int]]:
    """Return VOC's colours of values on disk: those of exported masks and labels (pictures have `class_colours`)."""
    palette = voc_palette()
    return [(int(palette[value, 0]), int(palette[value, 1]), int(palette[value, 2])) for value in values]


def refuse_characters(words: Iterable[str], forbidden: str, what: str) -> None:
    """Refuse names that a text format can't hold.

    Raises:
        InvalidInput: one is empty, begins or ends with a space, or has a control or a forbidden character.
    """
    for word in words:
        bad = [character for character in word if ord(character) < 32 or character in forbidden]
        if bad or not word or word != word.strip():
            why = f"has {bad[0]!r} in it" if bad else "is empty or begins or ends with a space"
            raise InvalidInput(
                f"The {what} {word!r} {why}, which this format can't hold.",
                hint="Give it another name: data.classes can (new name: [old name])."
                if what == "class"
                else "Rename the image, or leave it out with --ids.",
            )


def _components(region: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the labels of the 8-connected components, and their sizes; the size of 0, the outside, is meaningless."""
    from scipy.ndimage import label

    labels: NDArray[np.int32] = label(region, np.ones((3, 3)))[0]
    return labels, np.bincount(labels.ravel())
