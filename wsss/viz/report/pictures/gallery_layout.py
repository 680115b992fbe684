"""The content of a gallery: a section per split, a row per image, a tile per picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsss.errors import counted, listing
from wsss.viz.drawing.palette import class_colours, hex_colour, magma

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

REASONS = ("worst", "random", "best", "contradicts labels", "spread")
"""Reasons why an image is shown, in the order of the filter on the page."""


@dataclass(frozen=True)
class Tile:
    """A picture drawn over the photograph.

    Args:
        kind: CSS class: ``mask``, ``heat`` or ``offsets``.
        title, note: the two parts of the caption.
        source: the picture as a data URI.
        alt: text alternative.
        contradicts: whether the tile shows a predicted mask that contradicts the image-level labels.
    """

    kind: str
    title: str
    note: str
    source: str
    alt: str
    contradicts: bool = False


@dataclass(frozen=True)
class Row:
    """The row of an image.

    Args:
        reason: see `REASONS`.
        labels: names of the labelled classes; ``None`` without image-level labels.
        width, height: size of the image in pixels.
        photo: the photograph as a data URI.
        cells: tiles of each column; empty if the stage has no result for the image.
        classes: indices of its classes, from the labels or, without labels, from the true mask.
    """

    id: str
    reason: str
    labels: tuple[str, ...] | None
    width: int
    height: int
    photo: str
    cells: tuple[tuple[Tile, ...], ...]
    classes: tuple[int, ...] = ()

    @property
    def contradicts(self) -> bool:
        """Whether a predicted mask contradicts the image-level labels."""
        return any(tile.contradicts for cell in self.cells for tile in cell)

    def weight(self) -> int:
        """Return the approximate size of the row in the page, in bytes."""
        sources = [self.photo, *(tile.source for cell in self.cells for tile in cell)]
        texts = sum(400 + len(tile.alt) + len(tile.note) for cell in self.cells for tile in cell)
        return sum(map(len, sources)) + texts + 1200


@dataclass(frozen=True)
class UnreadableImage:
    """An image without a row, because its photograph is missing or broken."""

    id: str
    why: str


@dataclass(frozen=True)
class Section:
    """The rows of one split.

    Args:
        size: number of images in the split.
        ranked_by: score stage by which the images are ranked, if any.
    """

    split: str
    size: int
    ranked_by: str | None
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unread: tuple[UnreadableImage, ...] = ()

    @property
    def flagged(self) -> int:
        """Number of rows shown because their masks contradict the labels."""
        return sum(row.reason == "contradicts labels" for row in self.rows)


@dataclass(frozen=True)
class Gallery:
    """All rows of a gallery.

    Args:
        left_out: number of requested images omitted to keep the page within its size limit.
        other_splits: splits with maps or masks that were not requested.
    """

    sections: tuple[Section, ...]
    left_out: int
    unread: tuple[UnreadableImage, ...] = ()
    other_splits: tuple[str, ...] = ()

    @property
    def shown(self) -> int:
        """Number of images shown."""
        return sum(len(section.rows) for section in self.sections)


def missing_image(sample: Sample) -> UnreadableImage:
    """Return the entry for an image in `Dataset.missing`."""
    return UnreadableImage(sample.id, f"no such image in {sample.image.parent}")


def unread_text(unread: Sequence[UnreadableImage]) -> str:
    """Return the log line on images that cannot be read."""
    images = listing(f"{image.id} ({image.why.rstrip('.')})" for image in unread)
    return f"{counted(len(unread), 'unreadable image')} omitted: {images}"


def reasons(gallery: Gallery) -> tuple[str, ...]:
    """Return the reasons that occur in a gallery."""
    present = {row.reason for section in gallery.sections for row in section.rows}
    return tuple(reason for reason in REASONS if reason in present)


def legend(data: Dataset | None) -> list[tuple[str, str]]:
    """Return (name, colour) of each foreground class."""
    if data is None:
        return []
    colours = class_colours(data.classes)
    return [(name, hex_colour(colours[index])) for index, name in enumerate(data.classes.names) if index > 0]


def heat_scale() -> str:
    """Return the colours of heat maps from 0 to 1 as the stops of a CSS gradient."""
    return ", ".join(hex_colour(colour) for colour in magma()[::15])
