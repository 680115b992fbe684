"""The report's gallery: one row per image, one column per stage with maps or masks, ground truth last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from wsss.io.files.stage_files import CAMS, MASKS
from wsss.io.process.memory_budget import workers_that_fit
from wsss.io.process.thread_map import map_in_threads
from wsss.io.rasters.rgb_images import pixels_in
from wsss.viz.report.pictures.gallery_layout import Gallery, Row, Section, UnreadableImage, missing_image
from wsss.viz.report.pictures.gallery_tiles import PREDICT, Column, make_row
from wsss.viz.report.pictures.selection import Pick, choose, distinct, ranking_score, read_per_image
from wsss.viz.report.pictures.thumbnails import DETAILS, Detail
from wsss.viz.report.report_scores import Score
from wsss.viz.report.run_overview import StageRecord

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

TRUTH = "ground truth"

BYTES_PER_PIXEL = 15
"""Peak memory per pixel of a photograph while its thumbnails are made."""

TRIAL = 6
"""Number of rows made first, to choose the resolution."""

Advance = Callable[[int], None]


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
    track: Callable[[int], Advance] = lambda total: lambda steps: None,
) -> Gallery:
    """Choose the images and make their thumbnails, at the highest resolution that fits.

    Args:
        scores: their scores, to rank the images by.
        splits: the splits to show; empty for every split with maps or masks.
        seed: random seed of the draw among them.
        budget: maximum size of all rows, bytes.
        only: ids of the stages shown as columns; ``None`` for all.
        workers: number of threads; the result does not depend on it.
        track: number of images → progress callback.

    Raises:
        InvalidInput: an unknown split.
    """
    columns = _columns(data, records, scores, only)
    with_pictures = frozenset[str]().union(*(column.images for column in columns if column.kind != "truth"))
    candidates = _candidates(data, splits, with_pictures)
    missing = {sample.id: sample for samples in candidates.values() for sample in samples if sample.id in data.missing}
    sizes = {name: len(samples) for name, samples in candidates.items()}
    candidates = {
        name: [sample for sample in samples if sample.id not in data.missing] for name, samples in candidates.items()
    }
    per_image = {record.id: read_per_image(record.path) for record in records if record.is_score}
    ranked_by = {name: _ranking(scores, name, samples, per_image) for name, samples in candidates.items()}
    values = {name: per_image[score.id] for name, score in ranked_by.items() if score is not None}
    flagged = _flagged(records)
    rows = _Rows(columns, data.classes, workers)
    asked, picks = _fit(
        rows, lambda limit: choose(candidates, min(limit, count), seed, values, flagged), count, budget, track
    )
    sections = tuple(
        _section(name, sizes[name], score.id if score else None, columns, mine)
        for name, score in ranked_by.items()
        if (mine := rows.of(pick for pick in picks if pick.split == name))
    )
    unread = [missing_image(sample) for sample in missing.values()] if count else []
    other_splits = _other_splits(data, candidates, with_pictures) if splits else ()
    return Gallery(sections, asked - len(picks), (*unread, *rows.unread()), other_splits)


@dataclass
class _Rows:
    """The rows made so far, by split and image."""

    columns: Sequence[Column]
    classes: Classes
    workers: int
    made: dict[tuple[str, str], Row | UnreadableImage] = field(default_factory=dict)

    def make(self, picks: Sequence[Pick], detail: Detail, advance: Advance = lambda steps: None) -> int:
        """Make the missing rows of the picks in parallel; return the size of all of them, bytes."""
        new = [pick for pick in picks if (pick.split, pick.sample.id) not in self.made]
        largest = max((pixels_in(pick.sample.image) for pick in new), default=0)
        threads = workers_that_fit(max(1, self.workers), BYTES_PER_PIXEL * largest, lambda line: None, "thumbnails")
        work = partial(make_row, columns=self.columns, classes=self.classes, detail=detail)
        for pick, row in zip(new, map_in_threads(work, new, workers=threads, advance=advance), strict=True):
            self.made[pick.split, pick.sample.id] = row
        return sum(row.weight() for _, row in self.of(picks))

    def of(self, picks: Iterable[Pick]) -> list[tuple[Pick, Row]]:
        """Return the rows of the picks, without unreadable images."""
        rows = ((pick, self.made[pick.split, pick.sample.id]) for pick in picks)
        return [(pick, row) for pick, row in rows if isinstance(row, Row)]

    def unread(self) -> Collection[UnreadableImage]:
        """Return the unreadable images, each once."""
        return {picture.id: picture for picture in self.made.values() if isinstance(picture, UnreadableImage)}.values()


def _fit(
    rows: _Rows,
    choose_up_to: Callable[[int], tuple[Pick, ...]],
    count: int,
    budget: int,
    track: Callable[[int], Advance],
) -> tuple[int, tuple[Pick, ...]]:
    """Make rows that fit the budget, at a lower resolution or fewer; return the number without it, and their images."""
    picks = choose_up_to(count)
    asked = len(picks)
    # A few rows determine the resolution; all rows are made in that one.
    trial = picks[:: max(1, asked // TRIAL)][:TRIAL]
    for detail in DETAILS:
        rows.made.clear()
        weight = rows.make(trial, detail) / max(1, len(trial))
        if weight * asked <= 0.9 * budget:
            break
    else:
        picks = choose_up_to(int(0.95 * budget / weight))
    advance = track(len(picks))
    while (total := rows.make(picks, detail, advance)) > budget:
        picks = choose_up_to(min(len(picks) - 1, int(len(picks) * 0.97 * budget / total)))
    return asked, picks


def _candidates(data: Dataset, splits: Sequence[str], with_pictures: Collection[str]) -> dict[str, Sequence[Sample]]:
    """Return the images with maps or masks, by split: of the given splits, or of all distinct ones."""
    samples = {name: data.split(name) for name in splits} or data.splits
    pictured = {name: [sample for sample in several if sample.id in with_pictures] for name, several in samples.items()}
    candidates: dict[str, Sequence[Sample]] = {name: several for name, several in pictured.items() if several}
    return candidates if splits else distinct(candidates)


def _other_splits(
    data: Dataset, candidates: Mapping[str, Sequence[Sample]], with_pictures: Collection[str]
) -> tuple[str, ...]:
    """Return the splits with maps or masks, none of whose images is shown."""
    shown = {sample.id for samples in candidates.values() for sample in samples}
    every = _candidates(data, (), with_pictures)
    return tuple(name for name, samples in every.items() if not any(sample.id in shown for sample in samples))


def _flagged(records: Sequence[StageRecord]) -> list[str]:
    """Return the images whose predicted masks contradict their labels, as recorded by the stages, worst first."""
    lists = [record.metrics.get("contradictions") or [] for record in records if record.uses == PREDICT]
    return list(dict.fromkeys(str(row["image"]) for rows in lists for row in rows))


def _ranking(
    scores: Sequence[Score], split: str, samples: Sequence[Sample], per_image: Mapping[str, Mapping[str, float]]
) -> Score | None:
    """Return the score that ranks the images of a split: measured on the split, or on a larger one."""
    score = ranking_score(scores, split, [id for id, values in per_image.items() if values])
    if score is not None:
        return score
    wider = [
        candidate
        for candidate in scores
        if per_image.get(candidate.id) and all(each.id in per_image[candidate.id] for each in samples)
    ]
    names = dict.fromkeys(candidate.split for candidate in wider)
    ids = [candidate.id for candidate in wider]
    return next((score for name in names if (score := ranking_score(wider, name, ids))), None)


def _columns(
    data: Dataset, records: Sequence[StageRecord], scores: Sequence[Score], only: Collection[str] | None
) -> list[Column]:
    values: dict[str, dict[str, float]] = {}
    for score, record in zip(scores, (record for record in records if record.is_score), strict=True):
        if score.masks is not None:
            values.setdefault(score.masks, {}).update(read_per_image(record.path))
    oracles = {score.masks for score in scores if score.oracle}
    columns = []
    for record in records:
        if only is not None and record.id not in only:
            continue
        if record.has_cams:
            images = frozenset(path.stem for path in (record.path / CAMS).glob("*.npz"))
            columns.append(Column(record.id, "cams", images, record))
        if record.has_masks:
            images = frozenset(path.stem for path in (record.path / MASKS).glob("*.png"))
            columns.append(Column(record.id, "masks", images, record, values.get(record.id, {}), record.id in oracles))
    truth = frozenset(sample.id for sample in data.all_samples() if sample.mask is not None)
    return [*columns, Column(TRUTH, "truth", truth)]


def _section(
    name: str, size: int, ranked_by: str | None, columns: Sequence[Column], mine: Sequence[tuple[Pick, Row]]
) -> Section:
    """Return the section of a split, without the columns that are empty in all rows."""
    used = [index for index in range(len(columns)) if any(row.cells[index] for _, row in mine)]
    rows = tuple(
        replace(row, reason=pick.reason, cells=tuple(row.cells[index] for index in used)) for pick, row in mine
    )
    return Section(name, size, ranked_by, tuple(columns[index].title for index in used), rows)
