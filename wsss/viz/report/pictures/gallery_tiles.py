"""The pictures of one image: its photograph, and the maps and masks of each stage as layers over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsss.data.artifacts import read_indices, read_maps
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import DamagedFile, InvalidInput
from wsss.io.rasters.label_masks import IGNORE, foreground_values, value_counts
from wsss.io.rasters.rgb_images import read_image
from wsss.metrics.contradictions import contradiction, in_words
from wsss.viz.drawing.palette import class_colours
from wsss.viz.report.pictures.gallery_layout import Row, Tile, UnreadableImage
from wsss.viz.report.pictures.selection import Pick
from wsss.viz.report.pictures.thumbnails import Detail, heat_uri, mask_uri, photo_uri
from wsss.viz.report.run_overview import StageRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.sample import Sample

PREDICT = "predict"
"""Stage type whose masks are checked against the image-level labels."""

MIN_UNCERTAIN = 0.005
"""Smallest fraction of uncertain pixels that a caption mentions."""


@dataclass(frozen=True)
class Column:
    """A column: the maps or masks of one stage, or the ground truth.

    Args:
        title: id of the stage.
        images: ids of the images it has results for.
        stage: its record; ``None`` for the ground truth.
        values: image id → mIoU of its mask, where measured by a score stage.
        oracle: ground truth was used to make the masks; stamped on each value.
    """

    title: str
    kind: Literal["cams", "masks", "truth"]
    images: frozenset[str]
    stage: StageRecord | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    oracle: bool = False


def make_row(pick: Pick, *, columns: Sequence[Column], classes: Classes, detail: Detail) -> Row | UnreadableImage:
    """Return the row of an image; a missing or broken photograph affects only this row."""
    sample = pick.sample
    try:
        image = read_image(*sample.source)
        size = (image.shape[0], image.shape[1])
        cells = tuple(
            tiles_or_error(column.title, sample, _tiles(column, sample, size, classes, detail))
            if sample.id in column.images
            else ()
            for column in columns
        )
        photo = photo_uri(image, detail)
    except DamagedFile:
        raise
    except InvalidInput as error:
        return UnreadableImage(sample.id, error.message)
    labels = label_names(sample, classes)
    return Row(sample.id, pick.reason, labels, size[1], size[0], photo, cells, _classes_in(sample, classes))


def tiles_or_error(title: str, sample: Sample, tiles: Iterable[Tile]) -> tuple[Tile, ...]:
    """Return the tiles of a cell; a broken file is reported in its place and affects only this cell."""
    try:
        return tuple(tiles)
    except DamagedFile:
        raise
    except InvalidInput as error:
        return (_bare(title, sample, f"unreadable: {error.message}"),)


def _bare(title: str, sample: Sample, note: str) -> Tile:
    """Return a transparent tile with a note."""
    blank = mask_uri(np.zeros((1, 1), np.uint8), np.zeros((1, 3), np.uint8), Detail(1, 1, 1))
    return Tile("mask", title, note, blank, f"{title} of {sample.id}: {note}")


def map_tiles(
    stage: StageRecord, sample: Sample, classes: Classes, size: tuple[int, int], detail: Detail
) -> Iterator[Tile]:
    """Yield a heat map per class of an image."""
    cams = read_maps(stage.path, sample, classes, size=size)
    for index, values in zip(cams.classes, cams.maps, strict=True):
        name = classes.names[index]
        alt = f"{stage.id}: heat map of {name} on {sample.id}, {np.mean(values >= 0.5):.0%} of it above 0.5"
        yield Tile("heat", stage.id, name, heat_uri(values, size, detail), alt)


def label_names(sample: Sample, classes: Classes) -> tuple[str, ...] | None:
    """Return the class names of the image-level labels, ``None`` without labels."""
    return None if sample.labels is None else tuple(classes.names[index] for index in sample.labels)


def _classes_in(sample: Sample, classes: Classes) -> tuple[int, ...]:
    """Return the indices of the classes in an image; none without labels and readable mask."""
    if sample.labels is not None or sample.mask is None:
        return sample.labels or ()
    try:
        return tuple(foreground_values(read_sample_mask(sample, classes)))
    except InvalidInput:  # reported in the column of the ground truth
        return ()


def _tiles(column: Column, sample: Sample, size: tuple[int, int], classes: Classes, detail: Detail) -> Iterator[Tile]:
    if column.stage is None:
        yield _mask_tile(column, sample, read_sample_mask(sample, classes, size=size), classes, detail)
    elif column.kind == "masks":
        mask = read_indices(column.stage.path, sample.id, classes, size=size)
        yield _mask_tile(column, sample, mask, classes, detail)
    else:
        maps = tuple(map_tiles(column.stage, sample, classes, size, detail))
        yield from maps or (_bare(column.title, sample, "no class"),)


def _mask_tile(column: Column, sample: Sample, mask: NDArray[np.uint8], classes: Classes, detail: Detail) -> Tile:
    shares = value_counts(mask) / mask.size
    areas = [f"{classes.names[index]} {shares[index]:.0%}" for index in range(1, len(classes)) if shares[index]]
    areas += [f"{'uncertain' if column.stage else 'ignored'} {shares[IGNORE]:.0%}"] if shares[IGNORE] else []
    alt = f"{column.title} of {sample.id}: {', '.join(areas) or 'background only'}"
    value = column.values.get(sample.id)
    notes = [] if value is None else [f"{'ORACLE ' if column.oracle else ''}mIoU {value:.2f}"]
    notes += [f"{shares[IGNORE]:.0%} uncertain"] if column.stage and shares[IGNORE] >= MIN_UNCERTAIN else []
    wrong = None
    if column.stage is not None and column.stage.uses == PREDICT:
        wrong = contradiction(shares[: len(classes)], sample)
    notes += [] if wrong is None else [in_words(wrong, classes.names)]
    picture = mask_uri(mask, class_colours(classes), detail)
    return Tile("mask", column.title, ", ".join(notes), picture, alt, wrong is not None)
