"""The report's topology view: matched and unmatched components and holes of predictions and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.data.artifacts import read_class_probabilities, read_indices
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import DamagedFile, InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.io.files.stage_files import RECORD, STRUCTURE, probability_path
from wsss.io.process.thread_map import map_in_threads
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import read_image
from wsss.io.text.instance_ids import instance_id, read_instance_id
from wsss.io.text.tables import read_table
from wsss.viz.drawing.diagrams import barcode_svg, persistence_svg
from wsss.viz.report.pictures.thumbnails import Detail, photo_uri
from wsss.viz.report.pictures.topology_panels import Mark, Panel, centreline_panel, matching_panels
from wsss.viz.report.run_overview import StageRecord, masks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample
    from wsss.topology import BettiMatching

FRAMES = ("own-max", "none")
"""Frames around masks, as in the config of the score stage."""

ERRORS = (("betti_matching_error",), ("betti0_error", "betti1_error"), ("local_betti0_error", "local_betti1_error"))
"""Columns to rank images by; the sum of the first ones that were measured."""

MAX_MARKS = 60
MAX_SCORES = 4
"""Maximum number of scores shown; a matrix of losses and seeds has more."""


@dataclass(frozen=True)
class TopologyRow:
    """One class of one image.

    Args:
        stage: that made the mask.
        width, height: size of the image in pixels.
        photo: as a data URI.
        panels: prediction, label, centrelines.
        marks: unmatched features, the largest first.
        left_out: number of further marks.
        summary: the counts in words.
        diagram, bars: persistence diagram and barcode as SVG; empty without stored probabilities.
    """

    id: str
    name: str
    stage: str
    width: int
    height: int
    photo: str
    panels: tuple[Panel, ...]
    marks: tuple[Mark, ...]
    left_out: int
    summary: str
    diagram: str
    bars: str

    def weight(self) -> int:
        """Return the approximate size in the page, bytes; the photograph occurs once per panel."""
        layers = sum(len(self.photo) + len(panel.layer) + 600 for panel in self.panels)
        return layers + len(self.diagram) + len(self.bars) + 700 * len(self.marks) + 1500


@dataclass(frozen=True)
class UnshownImage:
    """An image that cannot be shown, and the reason."""

    id: str
    stage: str
    why: str

    def weight(self) -> int:
        """Return the approximate size in the page, bytes."""
        return 400 + len(self.why)


@dataclass(frozen=True)
class TopologyView:
    """The rows, and the number of rows omitted to keep the size limit (an image has a row per score)."""

    rows: tuple[TopologyRow | UnshownImage, ...] = ()
    left_out: int = 0

    def by_stage(self) -> Iterator[tuple[str, list[TopologyRow | UnshownImage]]]:
        """Yield each stage with its rows, in the order of the rows."""
        for stage in dict.fromkeys(row.stage for row in self.rows):
            yield stage, [row for row in self.rows if row.stage == stage]


def topology_view(
    data: Dataset,
    records: Sequence[StageRecord],
    *,
    count: int,
    detail: Detail,
    budget: int,
    workers: int = 1,
    track: Callable[[int], Callable[[int], None]] = lambda total: lambda steps: None,
) -> TopologyView:
    """Return the images with the worst topology of every score stage that measured it.

    Args:
        count: maximum number of rows, divided among the scores.
        budget: maximum size of the rows, bytes; the last rows of each score are omitted to keep it.
        workers: number of threads; the result does not depend on it.
        track: number of images → progress callback.

    Raises:
        InvalidInput: an invalid table of scores.
    """
    measured = [record for record in records if (record.path / STRUCTURE).is_file() and masks_of(record, records)]
    shown = _first_seeds(measured)[-MAX_SCORES:]
    samples = {sample.id: sample for sample in data.all_samples() if sample.mask is not None}
    jobs: list[tuple[Sample, str, StageRecord, str]] = []
    for index, score in enumerate(shown):
        share = count // len(shown) + (index < count % len(shown))
        masks = masks_of(score, records)
        frame = str(score.config.get("frame", FRAMES[0]))
        if frame not in FRAMES:
            raise InvalidInput(subject=f"{score.path / RECORD}: config.frame", allowed=FRAMES, found=frame)
        split = score.metrics.get("split")
        known = {sample.id: sample for sample in data.splits.get(str(split), ())} or samples
        for image, name in _worst(score.path / STRUCTURE)[:share]:
            if masks is not None and image in known and name in data.classes.names:
                jobs.append((known[image], name, masks, frame))
    advance = track(len(jobs)) if jobs else lambda steps: None
    rows = map_in_threads(
        lambda job: _row_or_error(*job, classes=data.classes, detail=detail), jobs, workers=workers, advance=advance
    )
    while rows and sum(row.weight() for row in rows) > budget:
        fullest = Counter(row.stage for row in rows).most_common(1)[0][0]
        rows.pop(max(index for index, row in enumerate(rows) if row.stage == fullest))
    return TopologyView(tuple(rows), len(jobs) - len(rows))


def _row_or_error(
    sample: Sample, name: str, masks: StageRecord, frame: str, *, classes: Classes, detail: Detail
) -> TopologyRow | UnshownImage:
    """Return a row; a missing or broken file is reported in its place and affects only this row."""
    try:
        return _row(sample, name, masks, classes, frame, detail)
    except DamagedFile:
        raise
    except InvalidInput as error:
        return UnshownImage(sample.id, masks.id, error.message)


def _first_seeds(records: Sequence[StageRecord]) -> list[StageRecord]:
    """Return one record per score stage and matrix point: the first of those that differ only in the seed."""
    kept: dict[str, StageRecord] = {}
    for record in records:
        entry, point = read_instance_id(record.id)
        kept.setdefault(instance_id(entry, {axis: name for axis, name in point.items() if axis != "seed"}), record)
    return list(kept.values())


def _worst(path: Path) -> list[tuple[str, str]]:
    """Return (image, class) by descending topology error, or by ascending clDice without errors."""
    check_recorded(path)
    rows = read_table(path)

    def error_count(row: Mapping[str, str]) -> float:
        for names in ERRORS:
            errors = [float(row[name]) for name in names if row.get(name)]
            if errors:
                return sum(errors)
        return -float(row.get("cldice") or 0)

    try:
        ranked = sorted((-error_count(row), row["image_id"], row["class"]) for row in rows)
    except (KeyError, ValueError) as error:
        raise InvalidInput(f"not a table of topology scores ({error})", subject=path) from error
    return [(image, name) for _, image, name in ranked]


def _row(sample: Sample, name: str, masks: StageRecord, classes: Classes, frame: str, detail: Detail) -> TopologyRow:
    from wsss.topology import betti_matching

    index = classes.names.index(name)
    image = read_image(*sample.source)
    size = image.shape[:2]
    truth = read_sample_mask(sample, classes, size=size)
    mask = read_indices(masks.path, sample.id, classes, size=size)
    counted = truth != IGNORE
    pred, gt = (mask == index) & counted, (truth == index) & counted
    matching = betti_matching(pred.astype(np.float64), gt.astype(np.float64), frame=frame)  # type: ignore[arg-type]
    panels, marks = matching_panels(matching, (pred, gt), detail)
    panels.append(centreline_panel(pred, gt, detail))
    marks.sort(key=lambda mark: -mark.pixels)
    height, width = size
    diagram, bars = _soft(sample, index, classes, masks, gt & counted, frame)
    return TopologyRow(
        sample.id,
        name,
        masks.id,
        width,
        height,
        photo_uri(image, detail),
        tuple(panels),
        tuple(marks[:MAX_MARKS]),
        max(0, len(marks) - MAX_MARKS),
        _summary(matching),
        diagram,
        bars,
    )


def _summary(matching: BettiMatching) -> str:
    texts = []
    for name, part in (("components", matching.dim0), ("holes", matching.dim1)):
        texts.append(
            f"{name}: {len(part.matched_pred)} matched, {len(part.unmatched_pred)} spurious, "
            f"{len(part.unmatched_gt)} missed"
        )
    return "; ".join(texts)


def _soft(
    sample: Sample, index: int, classes: Classes, masks: StageRecord, gt: NDArray[np.bool_], frame: str
) -> tuple[str, str]:
    """Return persistence diagram and barcode of the class probabilities, if the stage stored them."""
    from wsss.topology import betti_matching

    if not probability_path(masks.path, sample.id).is_file():
        return "", ""
    soft = read_class_probabilities(masks.path, sample, classes, size=gt.shape)[index].astype(np.float64)
    matching = betti_matching(soft, gt.astype(np.float64), frame=frame)  # type: ignore[arg-type]
    return persistence_svg(matching), barcode_svg(matching)
