"""What `compare` reads of the score and sweep stages: the columns of its table, and the curves of its plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from wsss.errors import InvalidInput, closest, listing
from wsss.io.confusions import CONFUSIONS, read_confusions
from wsss.io.files.stage_files import RECORD
from wsss.io.sweeps import SWEEP_COUNTS, SweepCounts, read_sweep_counts
from wsss.metrics.comparison import Cell, Measured
from wsss.metrics.overlap import Measure, mean_scores
from wsss.metrics.threshold_curve import best_recall, foreground_precision_recall
from wsss.pipeline.config.matrix import read_instance_id
from wsss.pipeline.stage import Artifact
from wsss.viz.drawing.curves import Curve, CurveChart
from wsss.viz.drawing.formatting import plain, words
from wsss.viz.report.comparison_table import ShownColumn
from wsss.viz.report.report_scores import is_oracle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.metrics.statistics import Statistic

FACTS = ("threshold_policy", "crf", "cam", "initial_weights", "supervision", "unsure_counted_as")
"""What a column has to say beside its split and number of images; `threshold_policy` of an oracle is its stamp."""

ORACLE = "ORACLE"
ONLY = "all"
"""What a row or a seed is called where no axis tells them apart."""

Kind = Literal["score", "best", "recall"]


@dataclass(frozen=True)
class Place:
    """Where a score stands: its stage's id in the pipeline, row, seed, and its place on all other axes."""

    entry: str
    row: str
    seed: str
    rest: Mapping[str, str]


def place_of(id: str, axis: str | None, over: str) -> Place:
    """Return where a score stands.

    Args:
        id: of its stage, with its point in the matrix.
        axis: the axis that makes the rows; ``None`` for a single row.
        over: the axis that is averaged over.
    """
    entry, point = read_instance_id(id)
    rest = {name: value for name, value in point.items() if name not in (axis, over)}
    return Place(entry, ONLY if axis is None else point[axis], point.get(over, ONLY), rest)


@dataclass
class Column:
    """One column: a score of every variant and seed, all on the same images.

    Args:
        name: unique; stage id, measure, and place on the other axes.
        title: its heading; begins with ORACLE where ground truth chose a threshold.
        measure: key of the metric.
        split: split of all its scores.
        images: their images, in order; ``None`` while none is known.
        classes: of those images.
        oracle: ground truth took part.
        statistic: computes the score from counts; ``None`` where it can't be.
        measured: row → seed → score.
        facts: what the scores say of themselves, each fact with all its values.
    """

    name: str
    title: str
    measure: str
    split: str
    oracle: bool
    statistic: Statistic | None
    images: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    count: int | None = None
    measured: dict[str, dict[str, Measured]] = field(default_factory=dict)
    facts: dict[str, list[str]] = field(default_factory=dict)

    def shown(self, cells: Mapping[str, Cell | None]) -> ShownColumn:
        """Return the column as the outputs show it."""
        facts = {name: tuple(values) for name, values in self.facts.items()}
        return ShownColumn(self.name, self.title, self.measure, self.split, self.count, self.oracle, facts, dict(cells))


@dataclass(frozen=True)
class _Reading:
    """What one artifact says for one column."""

    kind: Kind
    measure: str
    value: float | None
    counts: NDArray[np.int64] | None
    statistic: Statistic | None
    images: tuple[str, ...]
    classes: tuple[str, ...]


def gather_columns(
    scores: Sequence[Artifact], places: Mapping[str, Place], measures: Sequence[str], titles: Mapping[str, str]
) -> list[Column]:
    """Return the columns in the order of the scores; a sweep makes two, its best threshold and its recall.

    Args:
        scores: finished score and sweep stages.
        places: where each stands.
        measures: metrics to take of the score stages.
        titles: stage id → heading.

    Raises:
        InvalidInput: a score lacks a measure or its counts, or one column's scores are of different images.
    """
    columns: dict[str, Column] = {}
    for score in scores:
        place = places[score.id or ""]
        for reading in _readings(score, measures):
            several = len(measures) > 1 and reading.kind == "score"
            name = " ".join([_name(place), *_suffix(reading, several)])
            oracle = reading.kind != "score" or is_oracle(score.metrics, score.provenance)
            column = columns.get(name)
            if column is None:
                split = str(score.metrics.get("split", ""))
                title = _title(place, reading, titles, several=several)
                column = columns[name] = Column(name, title, reading.measure, split, False, reading.statistic)
            _add(column, score, place, reading)
            if oracle and not column.oracle:
                column.oracle, column.title = True, f"{ORACLE} {column.title}"
    return list(columns.values())


def gather_curves(
    scores: Sequence[Artifact], places: Mapping[str, Place], titles: Mapping[str, str], reference: str | None
) -> tuple[CurveChart, ...]:
    """Return one precision–recall chart per sweep stage (and place on the other axes): a curve per row.

    A curve is the mean over the seeds at each threshold. Its mark is where the seeds have their best mIoU: the mean of
    precision and recall at each seed's own best threshold.
    """
    charts: dict[str, dict[str, list[tuple[Artifact, SweepCounts]]]] = {}
    heads: dict[str, tuple[str, str]] = {}
    for score in scores:
        if score.uses != "sweep":
            continue
        place = places[score.id or ""]
        charts.setdefault(_name(place), {}).setdefault(place.row, []).append((score, _sweep_counts(score)))
        heads.setdefault(_name(place), (_heading(place, titles), str(score.metrics.get("split", ""))))
    return tuple(
        CurveChart(heads[name][0], heads[name][1], tuple(_curve(row, runs) for row, runs in rows.items()), reference)
        for name, rows in charts.items()
    )


def _curve(row: str, runs: Sequence[tuple[Artifact, SweepCounts]]) -> Curve:
    import numpy as np

    sweeps = [counts for _, counts in runs]
    if len({one.levels for one in sweeps}) > 1:
        raise InvalidInput(f"the sweeps of {row!r} have different thresholds; give them the same levels.")
    pairs = [foreground_precision_recall(one.counts.sum(0)) for one in sweeps]
    precision, recall = (np.mean([pair[part] for pair in pairs], axis=0) for part in (0, 1))
    marks = []
    for (score, sweep), pair in zip(runs, pairs, strict=True):
        best = score.metrics.get("best_threshold")
        if best not in sweep.levels:
            raise _not_swept(score, f"best_threshold {best}")
        place = sweep.levels.index(best)
        marks.append((float(pair[1][place]), float(pair[0][place])))
    return Curve(
        name=row,
        levels=sweeps[0].levels,
        recall=tuple(float(value) for value in recall),
        precision=tuple(float(value) for value in precision),
        mark=(float(np.mean([x for x, _ in marks])), float(np.mean([y for _, y in marks]))),
        seeds=len(runs),
    )


def _readings(score: Artifact, measures: Sequence[str]) -> Iterator[_Reading]:
    path = score.path / CONFUSIONS
    if not path.is_file():
        raise InvalidInput(
            f"{score.id}: no {CONFUSIONS} in {score.path}: an older version scored it.",
            hint="Run its pipeline again (wsss run), which scores it anew; everything before is kept.",
        )
    confusions = read_confusions(path)
    about = (tuple(confusions.images), confusions.classes)
    if score.uses == "sweep":
        asked = score.metrics.get("recall_at_precision")
        if asked is None:
            raise _not_swept(score, "no recall_at_precision")
        yield _Reading("best", "miou", score.metrics.get("miou"), confusions.stacked(), _overlap("miou"), *about)
        minimum = asked["minimum_precision"]
        measure = f"recall at precision ≥ {minimum:g}"
        counts = _sweep_counts(score).counts
        yield _Reading("recall", measure, asked.get("recall"), counts, partial(_best_recall, minimum=minimum), *about)
        return
    for measure in measures:
        value = _metric(score, measure)
        known = measure in get_args(Measure)
        stacked = confusions.stacked() if known else None
        yield _Reading("score", measure, value, stacked, _overlap(measure) if known else None, *about)


def _not_swept(score: Artifact, found: str) -> InvalidInput:
    return InvalidInput(
        f"{score.path / RECORD}: metrics: not those of a sweep ({found}).", hint=f"Re-run it: --force {score.id}."
    )


def _best_recall(counts: NDArray[np.float64], *, minimum: float) -> NDArray[np.float64]:
    return best_recall(counts, minimum)[0]


def _overlap(measure: Any) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return partial(mean_scores, measure=measure)


def _metric(score: Artifact, measure: str) -> float | None:
    """Return a metric of a score stage by its key; ``a.b`` is b inside a."""
    value: Any = score.metrics
    for key in measure.split("."):
        if not isinstance(value, Mapping) or key not in value:
            known = [name for name, one in score.metrics.items() if isinstance(one, int | float)]
            raise InvalidInput(
                f"measures: {score.id} has no metric {measure!r}; it has {listing(known, limit=30)}"
                f"{closest(measure, known)}"
            )
        value = value[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"measures: {measure!r} of {score.id} is no number (found {plain(value)}).")
    return float(value)


def _sweep_counts(score: Artifact) -> SweepCounts:
    return read_sweep_counts(score.path / SWEEP_COUNTS)


def _add(column: Column, score: Artifact, place: Place, reading: _Reading) -> None:
    """Put a score into its column, if it was measured on the same images as the others there."""
    split = str(score.metrics.get("split", ""))
    if split != column.split:
        raise InvalidInput(
            f"{score.id} was measured on split {split!r}, others of {column.name!r} on {column.split!r}; one "
            "column holds one split.",
            hint="Give each split a score stage (or an axis of the matrix) of its own.",
        )
    if not column.measured:
        column.images, column.classes = reading.images, reading.classes
    if reading.images != column.images or reading.classes != column.classes:
        raise InvalidInput(
            f"{score.id} was measured on other images or classes than the others of {column.name!r}; what "
            "is to be compared has to be measured on the same ones."
        )
    column.count = len(column.images)
    column.measured.setdefault(place.row, {})[place.seed] = Measured(reading.value, reading.counts)
    known = {**score.provenance, **{key: value for key, value in score.metrics.items() if value is not None}}
    for key in FACTS:
        if key == "threshold_policy" and reading.kind != "score":
            text = f"{ORACLE}, chosen on the ground-truth masks"
        elif known.get(key) is None:
            continue
        else:
            text = plain(known[key])
        values = column.facts.setdefault(words(key), [])
        if text not in values:
            values.append(text)


def _name(place: Place) -> str:
    rest = ",".join(f"{axis}={value}" for axis, value in place.rest.items())
    return place.entry + (f"@{rest}" if rest else "")


def _heading(place: Place, titles: Mapping[str, str]) -> str:
    rest = ", ".join(f"{axis} {value}" for axis, value in place.rest.items())
    return titles.get(place.entry, place.entry) + (f" ({rest})" if rest else "")


def _suffix(reading: _Reading, several: bool) -> list[str]:
    if reading.kind == "score":
        return [reading.measure] if several else []
    return ["best threshold" if reading.kind == "best" else reading.measure]


def _title(place: Place, reading: _Reading, titles: Mapping[str, str], *, several: bool) -> str:
    suffix = [words(one) if several else one for one in _suffix(reading, several)]
    return ", ".join([_heading(place, titles), *suffix])
