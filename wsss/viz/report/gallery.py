"""The report's gallery: one row per image, one column per stage that makes maps or masks, ground truth last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsss.data.artifacts import read_maps
from wsss.data.sample import read_truth
from wsss.errors import DamagedFile, InvalidInput
from wsss.io.files.stage_files import mask_path
from wsss.io.process.headroom import that_fit
from wsss.io.rasters.label_masks import IGNORE, read_mask
from wsss.io.rasters.rgb_images import pixels_in, read_image
from wsss.metrics.contradictions import contradiction, in_words
from wsss.viz.drawing.palette import class_colours, hex_colour, magma
from wsss.viz.report.report_scores import Score
from wsss.viz.report.run_overview import StageRecord
from wsss.viz.report.selection import Pick, choose, distinct, ranking_score, read_per_image
from wsss.viz.report.thumbnails import DETAILS, Detail, heat_uri, mask_uri, photo_uri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.sample import Classes, Dataset, Sample

TRUTH = "ground truth"
PREDICT = "predict"
"""Kind of the stages whose masks are compared with the image-level labels."""

BYTES_PER_PIXEL = 15
"""Of a photograph, while its thumbnails are made."""


@dataclass(frozen=True)
class Column:
    """A column: the maps or masks of one stage, or the ground truth.

    Args:
        title: the stage's id.
        kind: what it shows.
        images: ids of the images it has something for.
        stage: the stage's record; ``None`` for the ground truth.
        values: image id → mIoU of this column's mask, where a score stage measured it.
        oracle: ground truth took part in making the masks; stamped on every one of those values.
    """

    title: str
    kind: Literal["cams", "masks", "truth"]
    images: frozenset[str]
    stage: StageRecord | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    oracle: bool = False


@dataclass(frozen=True)
class Tile:
    """One picture over the photograph: a layer as data address, a caption, the same in words, and whether it is a
    predicted mask that contradicts the image's labels.
    """

    kind: str
    title: str
    note: str
    source: str
    alt: str
    contradicts: bool = False


@dataclass(frozen=True)
class Row:
    """One image: its photograph, and per column the tiles on it (none where the stage made nothing of it).

    ``classes`` are the indices of the classes it shows, by its labels or else its true mask.
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
        """Whether a predicted mask contradicts the image's labels."""
        return any(tile.contradicts for cell in self.cells for tile in cell)

    def weight(self) -> int:
        """Return how many bytes the row takes in the page, roughly."""
        sources = [self.photo, *(tile.source for cell in self.cells for tile in cell)]
        texts = sum(400 + len(tile.alt) + len(tile.note) for cell in self.cells for tile in cell)
        return sum(map(len, sources)) + texts + 1200


@dataclass(frozen=True)
class Unread:
    """An image without a row: its photograph is missing or broken."""

    id: str
    why: str


@dataclass(frozen=True)
class Section:
    """The rows of one split, by which score stage they were ranked, and images of it that could not be shown."""

    split: str
    size: int
    ranked_by: str | None
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True)
class Gallery:
    """All that the gallery shows.

    Args:
        sections: the rows, by split.
        left_out: how many images were asked for and did not fit the page's size limit.
        detail: how fine the pictures are.
        unread: images that could not be shown.
        other_splits: splits with maps or masks of which no image was asked for.
    """

    sections: tuple[Section, ...]
    left_out: int
    detail: Detail
    unread: tuple[Unread, ...] = ()
    other_splits: tuple[str, ...] = ()

    @property
    def shown(self) -> int:
        """Number of images shown."""
        return sum(len(section.rows) for section in self.sections)


def make_gallery(
    data: Dataset,
    records: Sequence[StageRecord],
    scores: Sequence[Score],
    *,
    splits: Sequence[str],
    count: int,
    seed: int,
    budget: int,
    only: Collection[str] | None = None,
    workers: int = 1,
    track: Callable[[int], Callable[[int], None]] = lambda total: lambda steps: None,
) -> Gallery:
    """Choose the images and make their thumbnails, the finest that fit.

    Args:
        data: the dataset the run worked on.
        records: the stages in pipeline order.
        scores: their scores, to rank the images by.
        splits: the splits to show; none for every split that a stage made maps or masks of.
        count: how many images are asked for.
        seed: of the random draw among them.
        budget: bytes that all rows together may take.
        only: ids of the stages that get a column; ``None`` for all.
        workers: number of threads; the result does not depend on it.
        track: number of images → a function that is told of each that is done.

    Raises:
        InvalidInput: an unknown split.
    """
    columns = _columns(data, records, scores, only)
    pictured = frozenset[str]().union(*(column.images for column in columns if column.kind != "truth"))
    candidates = _candidates(data, splits, pictured)
    missing = {one.id: one for samples in candidates.values() for one in samples if one.id in data.missing}
    sizes = {name: len(samples) for name, samples in candidates.items()}
    candidates = {
        name: [sample for sample in samples if sample.id not in data.missing] for name, samples in candidates.items()
    }
    per_image = {one.id: read_per_image(one.path) for one in records if one.is_score}
    ranked_by = {name: _ranking(scores, name, samples, per_image) for name, samples in candidates.items()}
    values = {name: per_image[score.id] for name, score in ranked_by.items() if score is not None}
    flagged = _flagged(records)
    picks = choose(candidates, count, seed, values, flagged)
    asked = len(picks)
    made: dict[tuple[str, str], Row | Unread] = {}

    def make(picks: Sequence[Pick], detail: Detail, advance: Callable[[int], None]) -> list[Row]:
        new = [pick for pick in picks if (pick.split, pick.sample.id) not in made]
        work = partial(_row_or_why, columns=columns, classes=data.classes, detail=detail)
        largest = max((pixels_in(pick.sample.image) for pick in new), default=0)
        threads = that_fit(max(1, workers), BYTES_PER_PIXEL * largest, lambda line: None, "thumbnails")
        with ThreadPoolExecutor(threads) as pool:
            for pick, row in zip(new, pool.map(work, new), strict=True):
                made[pick.split, pick.sample.id] = row
                advance(1)
        return [row for row in (made[pick.split, pick.sample.id] for pick in picks) if isinstance(row, Row)]

    # A few rows tell how fine the pictures may be; only then are all of them made.
    trial = picks[:: max(1, len(picks) // 6)][:6]
    for detail in DETAILS:
        made.clear()
        weight = sum(row.weight() for row in make(trial, detail, lambda steps: None)) / max(1, len(trial))
        if weight * asked <= 0.9 * budget:
            break
    else:
        picks = choose(candidates, min(count, int(0.95 * budget / weight)), seed, values, flagged)
    advance = track(len(picks))
    rows = make(picks, detail, advance)
    while (total := sum(row.weight() for row in rows)) > budget:
        fewer = min(len(picks) - 1, int(len(picks) * 0.97 * budget / total))
        picks = choose(candidates, fewer, seed, values, flagged)
        rows = make(picks, detail, advance)

    sections = []
    for name, score in ranked_by.items():
        found = [(pick, made[pick.split, pick.sample.id]) for pick in picks if pick.split == name]
        mine = [(pick, row) for pick, row in found if isinstance(row, Row)]
        if mine:
            sections.append(_section(name, sizes[name], score.id if score else None, columns, mine))
    unread = [missing_image(sample) for sample in missing.values()] if count else []
    unread += {one.id: one for one in made.values() if isinstance(one, Unread)}.values()
    other_splits = _other_splits(data, candidates, pictured) if splits else ()
    return Gallery(tuple(sections), asked - len(picks), detail, tuple(unread), other_splits)


def _candidates(data: Dataset, splits: Sequence[str], pictured: Collection[str]) -> dict[str, Sequence[Sample]]:
    """Return the images that have maps or masks, by split: of these splits, or of all that differ."""
    samples = {name: data.split(name) for name in splits} or data.splits
    found = {name: [one for one in several if one.id in pictured] for name, several in samples.items()}
    with_pictures: dict[str, Sequence[Sample]] = {name: several for name, several in found.items() if several}
    return with_pictures if splits else distinct(with_pictures)


def _other_splits(
    data: Dataset, candidates: Mapping[str, Sequence[Sample]], pictured: Collection[str]
) -> tuple[str, ...]:
    """Return the splits with maps or masks of images that are in none of those shown."""
    shown = {sample.id for samples in candidates.values() for sample in samples}
    every = _candidates(data, (), pictured)
    return tuple(name for name, samples in every.items() if not any(sample.id in shown for sample in samples))


def missing_image(sample: Sample) -> Unread:
    """Return what is said of an image of `Dataset.missing`."""
    return Unread(sample.id, f"no such image in {sample.image.parent}")


def reasons(gallery: Gallery) -> tuple[str, ...]:
    """Return why images were chosen, failures first."""
    found = {row.reason for section in gallery.sections for row in section.rows}
    return tuple(reason for reason in ("worst", "random", "best", "contradicts labels", "spread") if reason in found)


def _flagged(records: Sequence[StageRecord]) -> list[str]:
    """Return the images whose predicted masks contradict their labels, as the stages list them, worst first."""
    lists = [record.metrics.get("contradictions") or [] for record in records if record.uses == PREDICT]
    return list(dict.fromkeys(str(row["image"]) for rows in lists for row in rows))


def legend(data: Dataset | None) -> list[tuple[str, str]]:
    """Return (name, colour) of each foreground class."""
    if data is None:
        return []
    colours = class_colours(data.classes)
    return [(name, hex_colour(colours[index])) for index, name in enumerate(data.classes.names) if index > 0]


def heat_scale() -> str:
    """Return the colours of heat maps from 0 to 1 as stops of a CSS gradient."""
    return ", ".join(hex_colour(colour) for colour in magma()[::15])


def _ranking(
    scores: Sequence[Score], split: str, samples: Sequence[Sample], per_image: Mapping[str, Mapping[str, float]]
) -> Score | None:
    """Return the score to rank a split's images by: measured on it, or on a larger split that holds it."""
    fit = ranking_score(scores, split, [one for one, values in per_image.items() if values])
    if fit is not None:
        return fit
    held = [one for one in scores if per_image.get(one.id) and all(each.id in per_image[one.id] for each in samples)]
    wider = dict.fromkeys(one.split for one in held)
    return next((found for name in wider if (found := ranking_score(held, name, [one.id for one in held]))), None)


def _columns(
    data: Dataset, records: Sequence[StageRecord], scores: Sequence[Score], only: Collection[str] | None
) -> list[Column]:
    values: dict[str, dict[str, float]] = {}
    for score, record in zip(scores, (one for one in records if one.is_score), strict=True):
        if score.masks is not None:
            values.setdefault(score.masks, {}).update(read_per_image(record.path))
    oracles = {score.masks for score in scores if score.oracle}
    columns = []
    for record in records:
        if only is not None and record.id not in only:
            continue
        if record.has_cams:
            images = frozenset(path.stem for path in (record.path / "cams").glob("*.npz"))
            columns.append(Column(record.id, "cams", images, record))
        if record.has_masks:
            images = frozenset(path.stem for path in (record.path / "masks").glob("*.png"))
            columns.append(Column(record.id, "masks", images, record, values.get(record.id, {}), record.id in oracles))
    truth = frozenset(sample.id for samples in data.splits.values() for sample in samples if sample.mask is not None)
    return [*columns, Column(TRUTH, "truth", truth)]


def _section(
    name: str, size: int, ranked_by: str | None, columns: Sequence[Column], mine: Sequence[tuple[Pick, Row]]
) -> Section:
    """Gather a split's rows; columns that have nothing for any of them are dropped."""
    used = [place for place, column in enumerate(columns) if any(row.cells[place] for _, row in mine)]
    rows = tuple(replace(row, reason=pick.reason, cells=tuple(row.cells[one] for one in used)) for pick, row in mine)
    return Section(name, size, ranked_by, tuple(columns[place].title for place in used), rows)


def _row_or_why(pick: Pick, *, columns: Sequence[Column], classes: Classes, detail: Detail) -> Row | Unread:
    """Return an image's row; a photograph that is broken or gone costs its row, and not the whole report."""
    try:
        return _row(pick, columns=columns, classes=classes, detail=detail)
    except DamagedFile:
        raise
    except InvalidInput as error:
        return Unread(pick.sample.id, error.message)


def _row(pick: Pick, *, columns: Sequence[Column], classes: Classes, detail: Detail) -> Row:
    sample = pick.sample
    image = read_image(sample.image)
    height, width = image.shape[:2]
    cells = tuple(
        _cell_or_why(column, sample, (height, width), classes, detail) if sample.id in column.images else ()
        for column in columns
    )
    labels = None if sample.labels is None else tuple(classes.names[index] for index in sample.labels)
    return Row(sample.id, pick.reason, labels, width, height, photo_uri(image, detail), cells, _shown(sample, classes))


def _shown(sample: Sample, classes: Classes) -> tuple[int, ...]:
    """Return the indices of the classes in an image; none where neither labels nor a readable mask tell."""
    if sample.labels is not None or sample.mask is None:
        return sample.labels or ()
    try:
        return tuple(int(index) for index in np.unique(read_truth(sample, classes)) if 0 < index < IGNORE)
    except InvalidInput:  # said in the column of the ground truth
        return ()


def _cell_or_why(
    column: Column, sample: Sample, size: tuple[int, int], classes: Classes, detail: Detail
) -> tuple[Tile, ...]:
    """Return the tiles of one picture; a broken mask is said in its place, and doesn't cost the whole report."""
    try:
        return _cell(column, sample, size, classes, detail)
    except DamagedFile:
        raise
    except InvalidInput as error:
        why = f"can't be shown: {error.message}"
        blank = mask_uri(np.zeros(size, np.uint8), class_colours(classes), detail)
        return (Tile("mask", column.title, why, blank, f"{column.title} of {sample.id} {why}"),)


def _cell(column: Column, sample: Sample, size: tuple[int, int], classes: Classes, detail: Detail) -> tuple[Tile, ...]:
    if column.stage is None:
        mask = read_truth(sample, classes, size=size)
        return (_mask_tile(column, sample, mask, classes, detail),)
    if column.kind == "masks":
        path = mask_path(column.stage.path, sample.id)
        mask = classes.encode(read_mask(path, size=size), where=str(path))
        return (_mask_tile(column, sample, mask, classes, detail),)
    cams = read_maps(column.stage.path, sample, classes, size=size)
    tiles = []
    for index, values in zip(cams.classes, cams.maps, strict=True):
        name = classes.names[index]
        alt = f"{column.title}: heat map of {name} on {sample.id}, {np.mean(values >= 0.5):.0%} of it above 0.5"
        tiles.append(Tile("heat", column.title, name, heat_uri(values, size, detail), alt))
    return tuple(tiles)


def _mask_tile(column: Column, sample: Sample, mask: NDArray[np.uint8], classes: Classes, detail: Detail) -> Tile:
    counts = np.bincount(mask.ravel(), minlength=256) / mask.size
    areas = [f"{classes.names[index]} {counts[index]:.0%}" for index in range(1, len(classes)) if counts[index]]
    areas += [f"ignored {counts[IGNORE]:.0%}"] if counts[IGNORE] else []
    alt = f"{column.title} of {sample.id}: {', '.join(areas) or 'background only'}"
    value = column.values.get(sample.id)
    notes = [] if value is None else [f"{'ORACLE ' if column.oracle else ''}mIoU {value:.2f}"]
    notes += [f"{counts[IGNORE]:.0%} unsure"] if column.stage and counts[IGNORE] >= 0.005 else []
    wrong = None
    if column.stage is not None and column.stage.uses == PREDICT:
        wrong = contradiction(counts[: len(classes)], sample)
    notes += [] if wrong is None else [in_words(wrong, classes.names)]
    picture = mask_uri(mask, class_colours(classes), detail)
    return Tile("mask", column.title, ", ".join(notes), picture, alt, wrong is not None)
