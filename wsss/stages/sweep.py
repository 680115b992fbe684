"""Score maps at every fixed threshold against the ground truth, as an oracle for comparing maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.errors import InvalidInput
from wsss.io.text.tables import csv_text
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig
from wsss.refine.thresholds import Fixed
from wsss.stages.common.inspect_inputs import inspect_maps
from wsss.stages.common.require_inputs import require_maps, require_truth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.sample import Sample
    from wsss.stages.common.scores.threshold_counts import LevelCount

TABLE = "sweep.csv"


class SweepConfig(StageConfig):
    """Config of `sweep`."""

    split: str = Field("val", description="split to score on")
    thresholds: int = Field(
        200, ge=2, le=1000, description="number N of evenly spaced thresholds: 0, 1/N, 2/N … (N − 1)/N"
    )
    minimum_precision: float = Field(
        0.5, ge=0, le=1, description="report the highest recall at this precision or above"
    )


def run(ctx: Context[SweepConfig]) -> Result:
    """Count every image once; compute the curve, the best threshold and the highest recall at a minimum precision."""
    import numpy as np

    from wsss.io.files.atomic import write_text
    from wsss.metrics.overlap import mean_scores, overlap_scores
    from wsss.metrics.threshold_curve import even_levels, foreground_precision_recall, level_confusions, level_counts
    from wsss.stages.common.scores.threshold_counts import count_levels

    config, classes = ctx.config, ctx.data.classes
    samples, levels = ctx.data.split(config.split), even_levels(config.thresholds)
    counted = count_levels(ctx, samples, levels)
    histogram = np.zeros((len(classes), len(classes), len(levels) + 1), np.int64)
    for count in counted:
        count.add_to(histogram)
    confusions = level_confusions(histogram)
    curve = {measure: mean_scores(confusions, measure) for measure in ("miou", "precision", "recall")}
    if np.isnan(curve["miou"]).any():
        raise InvalidInput("all pixels of the ground truth are ignored", subject=f"sweep: split {config.split!r}")
    best = int(curve["miou"].argmax())
    counts = level_counts(confusions)
    curve["foreground_precision"], curve["foreground_recall"] = foreground_precision_recall(counts)
    if ctx.ranks.rank == 0:
        write_text(ctx.out / TABLE, _table(levels, curve))
        _write_counts(ctx, samples, levels, counted, best)
    policy = Fixed(name="fixed", foreground=levels[best], background=levels[best])
    stamp = f"ORACLE {policy.summary} (best on the ground-truth masks)"
    metrics = {
        **overlap_scores(confusions[best], classes.names),
        "oracle": True,
        "best_threshold": levels[best],
        "recall_at_precision": _recall_at_precision(config.minimum_precision, levels, counts, curve),
        "images": len(samples),
        "split": config.split,
        "threshold_policy": stamp,
        "provenance": {**ctx.inputs["cams"].provenance, "threshold_policy": stamp},
    }
    return Result(metrics, {"threshold_policy": stamp})


def _recall_at_precision(
    minimum: float, levels: tuple[float, ...], counts: NDArray[np.int64], curve: Mapping[str, NDArray[np.float64]]
) -> dict[str, Any]:
    import numpy as np

    from wsss.metrics.threshold_curve import best_recall

    recall, position = best_recall(counts, minimum)
    reached = int(position) >= 0
    return {
        "oracle": True,
        "minimum_precision": minimum,
        "recall": None if np.isnan(recall) else float(recall),
        "precision": float(curve["foreground_precision"][position]) if reached else None,
        "threshold": levels[int(position)] if reached else None,
    }


def _write_counts(
    ctx: Context[SweepConfig],
    samples: Sequence[Sample],
    levels: tuple[float, ...],
    counted: Sequence[LevelCount],
    best: int,
) -> None:
    """Write the counts of each image at all levels, and its confusion matrix at the best one."""
    from wsss.io.confusions import CONFUSIONS, cells_of, write_confusions
    from wsss.io.sparse_counts import SparseCounts
    from wsss.io.sweeps import SWEEP_COUNTS, SweepCounts, write_sweep_counts
    from wsss.metrics.threshold_curve import level_confusions, level_counts

    names, at_best = ctx.data.classes.names, {}

    def counts() -> Iterator[NDArray[np.int64]]:
        for sample, count in zip(samples, counted, strict=True):  # one by one: all would take too much memory
            matrices = level_confusions(count.dense())
            at_best[sample.id] = cells_of(matrices[best])
            yield level_counts(matrices)

    per_image = SparseCounts.of((len(levels), 3, len(names)), counts())
    write_sweep_counts(ctx.out / SWEEP_COUNTS, SweepCounts(names, levels, tuple(at_best), per_image))
    write_confusions(ctx.out / CONFUSIONS, names, at_best.items())


def _table(levels: tuple[float, ...], curve: Mapping[str, NDArray[np.float64]]) -> str:
    """Return a CSV with one row per threshold."""
    table: list[list[Any]] = [["threshold", *(f"oracle_{name}" for name in curve)]]
    for index, level in enumerate(levels):
        values = [float(column[index]) for column in curve.values()]
        table.append([level, *("" if value != value else f"{value:.6f}" for value in values)])
    return csv_text(table)


def _check(config: SweepConfig, data: Any) -> None:
    hint = "Sweep a split with masks, or omit the sweep stage."
    require_truth(data, (config.split,), where="sweep", hint=hint)


def _ready(ctx: Context[SweepConfig]) -> None:
    require_maps(ctx.inputs["cams"].path, ctx.data.split(ctx.config.split))


STAGE = Stage(
    name="sweep",
    version=2,
    config=SweepConfig,
    run=run,
    provides="scores",
    inputs={"cams": Input(("cams",), "folder of a cam stage, or of another stage that writes maps")},
    reads=lambda config: [Read(config.split, "masks")],
    needs_splits=lambda config: (config.split,),
    check=_check,
    ready=_ready,
    inspect=lambda ctx: inspect_maps(ctx, ctx.data.split(ctx.config.split), ctx.inputs["cams"].path),
)
