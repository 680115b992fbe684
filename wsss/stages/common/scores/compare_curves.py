"""Precision–recall charts of sweep stages, for `compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import RECORD
from wsss.io.sweeps import SWEEP_COUNTS, SweepCounts, read_sweep_counts
from wsss.metrics.threshold_curve import foreground_precision_recall
from wsss.pipeline.stage import Artifact
from wsss.stages.common.scores.matrix_position import MatrixPosition
from wsss.viz.drawing.curves import Curve, CurveChart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def gather_curves(
    scores: Sequence[Artifact],
    positions: Mapping[str, MatrixPosition],
    titles: Mapping[str, str],
    reference: str | None,
) -> tuple[CurveChart, ...]:
    """Return one chart per sweep stage (and value of the other axes), with a curve per row.

    A curve is the mean over the seeds at each threshold. Its mark is the mean of precision and recall at the best
    threshold (by mIoU) of each seed.
    """
    charts: dict[str, dict[str, list[_Swept]]] = {}
    heads: dict[str, tuple[str, str]] = {}
    for score in scores:
        if score.uses != "sweep":
            continue
        position = positions[score.id or ""]
        charts.setdefault(position.name, {}).setdefault(position.row, []).append(_swept(score))
        heads.setdefault(position.name, (position.heading(titles), str(score.metrics.get("split", ""))))
    return tuple(
        CurveChart(*heads[name], tuple(_curve(row, runs) for row, runs in rows.items()), reference)
        for name, rows in charts.items()
    )


@dataclass(frozen=True)
class _Swept:
    """A sweep, with precision and recall at its levels."""

    score: Artifact
    levels: tuple[float, ...]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def _swept(score: Artifact) -> _Swept:
    sweep = sweep_counts(score)
    return _Swept(score, sweep.levels, *foreground_precision_recall(sweep.counts.total()))


def _curve(row: str, sweeps: Sequence[_Swept]) -> Curve:
    import numpy as np

    if len({sweep.levels for sweep in sweeps}) > 1:
        hint = "Set thresholds to the same value in all sweep stages."
        raise InvalidInput("the sweeps have different thresholds", subject=f"compare: row {row!r}", hint=hint)
    precision = np.mean([sweep.precision for sweep in sweeps], axis=0)
    recall = np.mean([sweep.recall for sweep in sweeps], axis=0)
    marks = []
    for sweep in sweeps:
        best = sweep.score.metrics.get("best_threshold")
        if best not in sweep.levels:
            raise not_a_sweep(sweep.score, f"best_threshold {best}")
        position = sweep.levels.index(best)
        marks.append((float(sweep.recall[position]), float(sweep.precision[position])))
    return Curve(
        name=row,
        levels=sweeps[0].levels,
        recall=tuple(float(value) for value in recall),
        precision=tuple(float(value) for value in precision),
        mark=(float(np.mean([x for x, _ in marks])), float(np.mean([y for _, y in marks]))),
        seeds=len(sweeps),
    )


def sweep_counts(score: Artifact) -> SweepCounts:
    """Read the counts of a sweep stage."""
    return read_sweep_counts(score.path / SWEEP_COUNTS)


def not_a_sweep(score: Artifact, found: str) -> InvalidInput:
    """Return the error for a record that is not of a sweep."""
    return InvalidInput(
        f"the metrics are not those of a sweep ({found})",
        subject=score.path / RECORD,
        hint=f"Re-run it: --force {score.id}.",
    )
