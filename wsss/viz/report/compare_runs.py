"""Several runs side by side: their settings, scores and masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from wsss.metrics.directions import verdict
from wsss.viz.drawing.formatting import plain, words
from wsss.viz.report.comparison_table import signed_text
from wsss.viz.report.page import render
from wsss.viz.report.pictures.gallery import make_gallery
from wsss.viz.report.pictures.gallery_layout import Gallery, UnreadableImage, legend, reasons
from wsss.viz.report.report_scores import Score, fraction, scores_of
from wsss.viz.report.run_overview import StageRecord
from wsss.viz.report.run_page import Options

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset

MEASURES = ("miou", "precision", "recall", "pixel_accuracy")
ABSENT = "absent"
_MISSING = object()
"""Placeholder for a missing key; ``None`` is a valid value."""


@dataclass(frozen=True)
class Run:
    """One of the compared runs.

    Args:
        name: unique among the runs.
        records: its finished stages, in pipeline order.
        settings: settings of the whole run: pipeline, seed, dataset.
    """

    name: str
    records: tuple[StageRecord, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Total recorded time of the stages, in seconds."""
        return sum(record.seconds for record in self.records if record.seconds is not None)


@dataclass(frozen=True)
class Difference:
    """A setting that differs between runs: its stage (or ``run``), its key, and its value in each run."""

    stage: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """One metric of one score stage.

    Args:
        split: that it was measured on.
        measure: name of the metric, in words.
        values: per run.
        steps: per run the difference from the first; empty for the first, and unless `fair`.
        verdicts: per step ``better`` or ``worse``; ``None`` without a step or a known better direction.
        fair: whether all runs measured it on the same images and classes.
        oracle: ground truth was used to make the masks.
    """

    score: str
    split: str
    measure: str
    values: tuple[float | None, ...]
    steps: tuple[str, ...]
    verdicts: tuple[str | None, ...]
    fair: bool
    oracle: bool


def differences(runs: Sequence[Run]) -> tuple[Difference, ...]:
    """Return the settings that differ between runs or between their stages.

    Stages are matched by id; a stage that a run lacks is a single difference.
    """
    differing = _differing("run", [flatten(run.settings) for run in runs])
    by_id = [{record.id: record for record in run.records} for run in runs]
    for stage in dict.fromkeys(record.id for run in runs for record in run.records):
        present = [records.get(stage) for records in by_id]
        if None in present:
            values = tuple(record.uses if record else ABSENT for record in present)
            differing.append(Difference(stage, "stage", values))
        configs = [flatten({"uses": record.uses, **record.config}) if record else None for record in present]
        differing += _differing(stage, configs)
    return tuple(differing)


def _differing(stage: str, configs: Sequence[Mapping[str, Any] | None]) -> list[Difference]:
    present = [config for config in configs if config is not None]
    differing = []
    for key in dict.fromkeys(key for config in present for key in config):
        values = [config.get(key, _MISSING) for config in present]
        if any(value != values[0] for value in values):
            cells = [_MISSING if config is None else config.get(key, _MISSING) for config in configs]
            texts = tuple(ABSENT if value is _MISSING else plain(value) for value in cells)
            differing.append(Difference(stage, key, texts))
    return differing


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to ``{"optimiser.lr": 0.001, …}``; lists are values."""
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        if isinstance(entry, Mapping) and entry:
            flat |= flatten(entry, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = entry
    return flat


def results(runs: Sequence[Run]) -> tuple[Result, ...]:
    """Return the metrics of all score stages, matched by stage id."""
    scores = [{score.id: score for score in scores_of(run.records)} for run in runs]
    records = [{record.id: record for record in run.records} for run in runs]
    rows = []
    for stage in dict.fromkeys(score for of_run in scores for score in of_run):
        pairs = [
            (of_run[stage], other[stage]) for of_run, other in zip(scores, records, strict=True) if stage in of_run
        ]
        measured = [score for score, _ in pairs]
        fair = len({_measured_on(score, record.reads) for score, record in pairs}) == 1
        numbers = [_numbers(of_run[stage]) if stage in of_run else {} for of_run in records]
        for measure in dict.fromkeys(measure for of_run in numbers for measure in of_run):
            values = tuple(of_run.get(measure) for of_run in numbers)
            changes = [_change(values[0], value) if fair and index else None for index, value in enumerate(values)]
            steps = tuple("" if change is None else signed_text(change) for change in changes)
            verdicts = tuple(None if change is None else verdict(measure, round(change, 3)) for change in changes)
            oracle = any(score.oracle for score in measured)
            rows.append(Result(stage, measured[0].split, words(measure), values, steps, verdicts, fair, oracle))
    return tuple(rows)


def _numbers(record: StageRecord) -> dict[str, float | None]:
    """Return the metrics of a score stage: overlap, then topology and surface metrics if measured."""
    structure = record.metrics.get("structure")
    means = structure.get("mean", {}) if isinstance(structure, Mapping) else {}
    numbers = {name: record.metrics.get(name) for name in MEASURES} | dict(means or {})
    return {name: fraction(value) for name, value in numbers.items()}


def _measured_on(score: Score, reads: Mapping[str, str]) -> tuple[Any, ...]:
    """Return the basis of a score: split, number of images, classes, and the digest of the true masks."""
    images = next((fact.value for fact in score.facts if fact.name == "images"), None)
    return score.split, images, tuple(score.iou), reads.get(f"{score.split}/masks")


def _change(first: float | None, value: float | None) -> float | None:
    return None if first is None or value is None else value - first


def masks_side_by_side(runs: Sequence[Run], data: Dataset, options: Options, *, budget: int, workers: int) -> Gallery:
    """Return a gallery with the last scored masks of each run; the score of the first run ranks the images.

    Args:
        runs: see `Run`.
        data: the dataset of the first run.
        options: splits, number of images, and random seed of the draw.
        budget: maximum size of the pictures, bytes.
        workers: number of threads.
    """
    records = [
        replace(record, id=f"{run.name}: {record.id}", needs=tuple(f"{run.name}: {need}" for need in record.needs))
        for run in runs
        for record in run.records
    ]
    shown = {f"{run.name}: {stage}" for run in runs for stage in _last_masks(run)}
    if not shown:
        return Gallery((), 0)
    return make_gallery(
        data,
        records,
        scores_of(records),
        splits=options.splits,
        count=options.images,
        seed=options.seed,
        budget=budget,
        only=shown,
        workers=workers,
    )


def _last_masks(run: Run) -> set[str]:
    """Return the stage whose masks were scored last, per scored split; without scores, the last masks."""
    scored = {score.split: score.masks for score in scores_of(run.records) if score.masks is not None}
    return set(scored.values()) or {record.id for record in [record for record in run.records if record.has_masks][-1:]}


def build_runs_page(
    runs: Sequence[Run],
    data: Dataset | None,
    options: Options,
    *,
    workers: int = 1,
    log_unread: Callable[[Sequence[UnreadableImage]], None] = lambda unread: None,
) -> str:
    """Return the HTML page of several runs side by side.

    Args:
        runs: two or more; the first one is the reference.
        data: their dataset; ``None`` for no pictures.
        options: title, gallery, and size limit of the page; the other options have no effect.
        workers: number of threads.
        log_unread: called with the missing and unreadable images, if any.

    Raises:
        InvalidInput: an unknown split.
    """
    values: dict[str, Any] = {
        "title": options.title,
        "runs": runs,
        "data": data,
        "results": results(runs),
        "differences": differences(runs),
        "legend": legend(data),
        "scale": None,  # no maps
        "oracles": {f"{run.name}: {score.id}" for run in runs for score in scores_of(run.records) if score.oracle},
        "gallery": Gallery((), 0),
        "reasons": (),
    }
    if data is None:
        return render("runs.html.j2", values)
    budget = max(0, options.max_bytes - len(render("runs.html.j2", values).encode()) - 20_000)
    gallery = masks_side_by_side(runs, data, options, budget=budget, workers=workers)
    if gallery.unread:
        log_unread(gallery.unread)
    return render("runs.html.j2", {**values, "gallery": gallery, "reasons": reasons(gallery)})
