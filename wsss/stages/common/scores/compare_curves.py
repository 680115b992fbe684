"""Precision–recall charts of sweep stages, for `compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import RECORD
from wsss.io.sweeps import SWEEP_COUNTS, SweepCounts, read_sweep_counts
from wsss.metrics.threshold_curve import foreground_precision_recall
from wsss.pipeline.stage import Artifact
from wsss.stages.common.scores.matrix_position import MatrixPosition
from wsss.viz.drawing.curves import Curve, CurveChart


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
    charts: dict[str, dict[str, list[tuple[Artifact, SweepCounts]]]] = {}
    heads: dict[str, tuple[str, str]] = {}
    for score in scores:
        if score.uses != "sweep":
            continue
        position = positions[score.id or ""]
        charts.setdefault(position.name, {}).setdefault(position.row, []).append((score, sweep_counts(score)))
        heads.setdefault(position.name, (position.heading(titles), str(score.metrics.get("split", ""))))
    return tuple(
        CurveChart(*heads[name], tuple(_curve(row, runs) for row, runs in rows.items()), reference)
        for name, rows in charts.items()
    )


def _curve(row: str, runs: Sequence[tuple[Artifact, SweepCounts]]) -> Curve:
    import numpy as np

    sweeps = [counts for _, counts in runs]
    if len({sweep.levels for sweep in sweeps}) > 1:
        hint = "Set thresholds to the same value in all sweep stages."
        raise InvalidInput("the sweeps have different thresholds", subject=f"compare: row {row!r}", hint=hint)
    pairs = [foreground_precision_recall(sweep.counts.sum(0)) for sweep in sweeps]
    precision, recall = (np.mean([pair[part] for pair in pairs], axis=0) for part in (0, 1))
    marks = []
    for (score, sweep), pair in zip(runs, pairs, strict=True):
        best = score.metrics.get("best_threshold")
        if best not in sweep.levels:
            raise not_a_sweep(score, f"best_threshold {best}")
        position = sweep.levels.index(best)
        marks.append((float(pair[1][position]), float(pair[0][position])))
    return Curve(
        name=row,
        levels=sweeps[0].levels,
        recall=tuple(float(value) for value in recall),
        precision=tuple(float(value) for value in precision),
        mark=(float(np.mean([x for x, _ in marks])), float(np.mean([y for _, y in marks]))),
        seeds=len(runs),
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
