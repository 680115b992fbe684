"""Comparison of variants: means over seeds, confidence intervals over images, paired differences from a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.metrics.statistics import Statistic, percentile_interval, replicates, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.io.sparse_counts import SparseCounts


@dataclass(frozen=True)
class Measured:
    """One score of one variant with one seed.

    Args:
        value: the score; ``None`` if undefined.
        counts: reads the counts of the images it was computed from; ``None`` if unavailable.
    """

    value: float | None
    counts: Callable[[], SparseCounts] | None = None


@dataclass(frozen=True)
class Bootstrap:
    """Settings of bootstrap intervals: number of resamples, confidence in (0, 1), seed."""

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Difference:
    """Difference between a variant and the reference over their common seeds.

    Args:
        mean, std: mean and standard deviation of the differences per seed; ``std`` is ``None`` for a single seed.
        interval: confidence interval of the mean, with images resampled in pairs; ``None`` if unavailable.
        seeds: number of common seeds.
        positive: number of seeds in which the variant is above the reference.
    """

    mean: float
    std: float | None
    interval: tuple[float, float] | None
    seeds: int
    positive: int


@dataclass(frozen=True)
class Cell:
    """One score of one variant.

    Args:
        seeds: seed → score, if defined.
        mean, std: mean and standard deviation over the seeds.
        interval: confidence interval of the mean under resampling of the images; ``None`` if unavailable.
        difference: difference to the reference; ``None`` for the reference itself, without one or a common seed.
    """

    seeds: Mapping[str, float]
    mean: float
    std: float | None
    interval: tuple[float, float] | None
    difference: Difference | None


def compare(
    measured: Mapping[str, Mapping[str, Measured]],
    statistic: Statistic | None,
    reference: str | None,
    bootstrap: Bootstrap,
) -> dict[str, Cell | None]:
    """Return one column of a table: variant → cell, ``None`` for variants without a defined score.

    Args:
        measured: variant → seed → score. All counts are of the same images in the same order.
        statistic: computes the score from summed counts; ``None`` for other scores, which have no intervals.
        reference: the variant that the others are compared with.
        bootstrap: settings of the intervals, which show how the mean over *these* seeds depends on the images.
    """
    defined = {
        row: {seed: score for seed, score in seeds.items() if score.value is not None}
        for row, seeds in measured.items()
    }
    drawn = {row: _drawn(seeds, statistic, bootstrap) for row, seeds in defined.items()}
    cells: dict[str, Cell | None] = {}
    for row, seeds in defined.items():
        if not seeds:
            cells[row] = None
            continue
        values = {seed: score.value for seed, score in seeds.items() if score.value is not None}
        total = spread(list(values.values()))
        difference = None
        if reference is not None and row != reference and defined.get(reference):
            difference = _difference(
                seeds, defined[reference], drawn[row], drawn[reference], confidence=bootstrap.confidence
            )
        interval = _interval(drawn[row], list(seeds), bootstrap.confidence)
        cells[row] = Cell(values, total.mean, total.std, interval, difference)
    return cells


def _drawn(
    seeds: Mapping[str, Measured], statistic: Statistic | None, bootstrap: Bootstrap
) -> dict[str, NDArray[np.float64]]:
    """Return seed → replicates. All variants use the same draws, so that their differences are paired."""
    if statistic is None or not bootstrap.resamples:
        return {}
    drawn = {}
    for seed, score in seeds.items():
        counts = score.counts() if score.counts is not None else None  # for one score at a time: they can be large
        if counts is not None and len(counts):
            drawn[seed] = replicates(counts, statistic, resamples=bootstrap.resamples, seed=bootstrap.seed)
    return drawn


def _difference(
    variant: Mapping[str, Measured],
    reference: Mapping[str, Measured],
    variant_draws: Mapping[str, NDArray[np.float64]],
    reference_draws: Mapping[str, NDArray[np.float64]],
    *,
    confidence: float,
) -> Difference | None:
    common = [seed for seed in variant if seed in reference]
    if not common:
        return None
    values = [float(variant[seed].value or 0) - float(reference[seed].value or 0) for seed in common]
    drawn = [seed for seed in common if seed in variant_draws and seed in reference_draws]
    paired = {seed: variant_draws[seed] - reference_draws[seed] for seed in drawn}
    total = spread(values)
    interval = _interval(paired, common, confidence)
    return Difference(total.mean, total.std, interval, len(common), sum(value > 0 for value in values))


def _interval(
    drawn: Mapping[str, NDArray[np.float64]], seeds: list[str], confidence: float
) -> tuple[float, float] | None:
    """Return the interval of the mean over ``seeds``, if all of them have replicates."""
    if any(seed not in drawn for seed in seeds):
        return None
    return percentile_interval(np.mean([drawn[seed] for seed in seeds], axis=0), confidence)
