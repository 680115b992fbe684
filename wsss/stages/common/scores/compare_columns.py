"""Columns of the table of `compare`, gathered from score and sweep stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from wsss.errors import InvalidInput
from wsss.io.confusions import CONFUSIONS, read_confusions
from wsss.metrics.comparison import Cell, Measured
from wsss.metrics.overlap import Measure, mean_scores
from wsss.metrics.threshold_curve import best_recall
from wsss.pipeline.stage import Artifact
from wsss.stages.common.scores.compare_curves import not_a_sweep, sweep_counts
from wsss.stages.common.scores.matrix_position import MatrixPosition
from wsss.viz.drawing.formatting import plain, words
from wsss.viz.report.comparison_table import ShownColumn
from wsss.viz.report.report_scores import is_oracle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.io.sparse_counts import SparseCounts
    from wsss.metrics.statistics import Statistic

FACTS = (
    "threshold_policy",
    "crf",
    "cam",
    "initial_weights",
    "supervision",
    "calibrated",
    "weight_average",
    "corrected_masks",
    "uncertain_counted_as",
)
"""Metrics and provenance shown with a column, besides split and number of images."""

ORACLE = "ORACLE"

Kind = Literal["score", "best", "recall"]


@dataclass
class Column:
    """A score of every row and seed, all on the same images.

    Args:
        name: unique name: stage id, measure, and values of the other axes.
        title: heading; starts with ORACLE if ``oracle`` is set.
        split: split of all scores.
        oracle: whether the masks depend on the ground truth, for example through their threshold.
        statistic: computes the score from counts; ``None`` if that is impossible.
        images: the images, in order.
        count: number of images; ``None`` if unknown.
        measured: row → seed → score.
        facts: properties of the scores, each with all its values.
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
        """Return the column for the output, with its cells."""
        facts = {name: tuple(values) for name, values in self.facts.items()}
        return ShownColumn(self.name, self.title, self.measure, self.split, self.count, self.oracle, facts, dict(cells))


@dataclass(frozen=True)
class _Reading:
    """The score of one artifact for one column."""

    kind: Kind
    measure: str
    value: float | None
    counts: Callable[[], SparseCounts] | None
    statistic: Statistic | None
    images: tuple[str, ...]
    classes: tuple[str, ...]


def gather_columns(
    scores: Sequence[Artifact],
    positions: Mapping[str, MatrixPosition],
    measures: Sequence[str],
    titles: Mapping[str, str],
) -> list[Column]:
    """Return the columns in the order of the scores; a sweep yields two, best threshold and recall.

    Args:
        scores: finished score and sweep stages.
        measures: metrics of score stages to show.
        titles: stage id → heading.

    Raises:
        InvalidInput: a score has no such measure or no counts, or scores of a column are of different images.
    """
    columns: dict[str, Column] = {}
    for score in scores:
        position = positions[score.id or ""]
        for reading in _readings(score, measures):
            several = len(measures) > 1 and reading.kind == "score"
            suffix = _suffix(reading, several)
            name = " ".join([position.name, *suffix])
            column = columns.get(name)
            if column is None:
                split = str(score.metrics.get("split", ""))
                title = ", ".join([position.heading(titles), *(words(part) if several else part for part in suffix)])
                column = columns[name] = Column(name, title, reading.measure, split, False, reading.statistic)
            _add(column, score, position, reading)
            oracle = reading.kind != "score" or is_oracle(score.metrics, score.provenance)
            if oracle and not column.oracle:
                column.oracle, column.title = True, f"{ORACLE} {column.title}"
    return list(columns.values())


def _suffix(reading: _Reading, several: bool) -> list[str]:
    if reading.kind == "score":
        return [reading.measure] if several else []
    return ["best threshold" if reading.kind == "best" else reading.measure]


def _readings(score: Artifact, measures: Sequence[str]) -> Iterator[_Reading]:
    path = score.path / CONFUSIONS
    if not path.is_file():
        raise InvalidInput(
            f"no {CONFUSIONS} in {score.path}: it was scored by an older version",
            subject=score.id,
            hint="Re-run its pipeline (wsss run), which repeats this stage only.",
        )
    confusions = read_confusions(path)
    counts, about = confusions.counts(), (tuple(confusions.images), confusions.classes)
    if score.uses == "sweep":
        best = score.metrics.get("recall_at_precision")
        if best is None:
            raise not_a_sweep(score, "no recall_at_precision")
        yield _Reading("best", "miou", score.metrics.get("miou"), lambda: counts, _overlap("miou"), *about)
        minimum = best["minimum_precision"]
        measure = f"recall at precision ≥ {minimum:g}"
        best_recall = partial(_best_recall, minimum=minimum)
        yield _Reading("recall", measure, best.get("recall"), lambda: sweep_counts(score).counts, best_recall, *about)
        return
    for measure in measures:
        value = _metric(score, measure)
        known = measure in get_args(Measure)
        statistic = _overlap(measure) if known else None
        yield _Reading("score", measure, value, (lambda: counts) if known else None, statistic, *about)


def _best_recall(counts: NDArray[np.float64], *, minimum: float) -> NDArray[np.float64]:
    return best_recall(counts, minimum)[0]


def _overlap(measure: Any) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return partial(mean_scores, measure=measure)


def _metric(score: Artifact, measure: str) -> float | None:
    """Return a metric of a score stage by its key; ``a.b`` is the entry b of a."""
    value: Any = score.metrics
    for key in measure.split("."):
        if not isinstance(value, Mapping) or key not in value:
            known = [name for name, value in score.metrics.items() if isinstance(value, int | float)]
            raise InvalidInput(f"{score.id} has no such metric", subject="measures", found=measure, allowed=known)
        value = value[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(subject=f"measures: {measure} of {score.id}", found=plain(value), allowed="a number")
    return float(value)


def _add(column: Column, score: Artifact, position: MatrixPosition, reading: _Reading) -> None:
    """Add a score to its column; all scores of a column must be of the same images."""
    split = str(score.metrics.get("split", ""))
    if split != column.split:
        raise InvalidInput(
            f"scored on split {split!r}, other scores of column {column.name!r} on {column.split!r}",
            subject=score.id,
            hint="Use one score stage (or matrix axis) per split.",
        )
    if not column.measured:
        column.images, column.classes = reading.images, reading.classes
    if reading.images != column.images or reading.classes != column.classes:
        problem = f"scored on other images or classes than the other scores of column {column.name!r}"
        raise InvalidInput(problem, subject=score.id, hint="Compare scores of the same images and classes.")
    column.count = len(column.images)
    column.measured.setdefault(position.row, {})[position.seed] = Measured(reading.value, reading.counts)
    known = {**score.provenance, **{key: value for key, value in score.metrics.items() if value is not None}}
    if reading.kind != "score":
        known["threshold_policy"] = f"{ORACLE}, chosen on the ground-truth masks"
    for key in FACTS:
        if known.get(key) is not None:
            values, text = column.facts.setdefault(words(key), []), plain(known[key])
            if text not in values:
                values.append(text)
