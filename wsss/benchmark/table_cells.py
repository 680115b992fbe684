"""The cells of TopoMortar's tables: mean ± standard deviation, p against CE+Dice, and bold.

As computed by the authors (`compute_tables.py` in their repository):

- *ID*: mean and sample standard deviation (n − 1) over all images × seeds of the in-distribution group.
- *OOD*: the mean over the groups of each group's mean, and of each group's standard deviation.
- *p*: `wsss.benchmark.permutation.permutation_test` on the pairs (image, seed) shared with CE+Dice. For OOD the authors
  pool the pairs of all groups; here each group has equal weight, as in the mean. For groups of equal size, as in the
  published dataset, both are the same.
- *bold*: better than CE+Dice after rounding to two decimals, and p < 0.05.

If some pairs exist only for a loss or only for CE+Dice, the means are over all scores of each, as in the authors'
program; bold then also requires that the loss is better on the common pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsss.benchmark.permutation import PERMUTATIONS, permutation_test
from wsss.benchmark.score_set import ID_GROUP, METRICS, REFERENCE, Benchmark, Case, LossScores, Metric, ood_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

Distribution = Literal["ID", "OOD"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("ID", "OOD")
DECIMALS = 2
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Row:
    """One cell of a table, unrounded.

    Args:
        framework, labels, size: the case.
        group: ``ID`` or ``OOD``.
        loss, metric: short names.
        mean, std: see the module; ``std`` is ``None`` if some group has a single value.
        p: against CE+Dice; ``None`` for CE+Dice itself, or without common pairs.
        bold: significantly better than CE+Dice.
        worse: significantly worse, by the same rule; not part of the CSV and JSON rows, as the paper does not mark it.
    """

    framework: str
    labels: str
    size: str
    group: Distribution
    loss: str
    metric: str
    mean: float
    std: float | None
    p: float | None
    bold: bool
    worse: bool = False


def benchmark_rows(benchmark: Benchmark, *, permutations: int = PERMUTATIONS, seed: int = 0) -> list[Row]:
    """Return the cells of all tables: case by case, ID before OOD, loss by loss, metric by metric.

    Cells without scores are omitted.

    Args:
        permutations: sign flips per permutation test.
        seed: random seed of the sign flips; each table restarts from it.
    """
    return [
        row
        for case, losses in benchmark.cases.items()
        for distribution in DISTRIBUTIONS
        for row in _table(case, distribution, losses, permutations, seed)
    ]


def rounded(value: float) -> float:
    """Return a number as printed in the tables."""
    return float(np.round(value, DECIMALS))


def mean_and_std(scores: LossScores, metric: str, distribution: Distribution) -> tuple[float, float | None] | None:
    """Return mean and standard deviation of a loss, ``None`` without scores."""
    if metric not in scores.values:
        return None
    groups = np.array(scores.groups)
    means, stds = [], []
    for group in (ID_GROUP,) if distribution == "ID" else ood_groups(scores.groups):
        values = scores.values[metric][groups == group]
        values = values[~np.isnan(values)]
        if len(values):
            means.append(float(values.mean()))
            stds += [float(values.std(ddof=1))] if len(values) > 1 else []
    if not means:
        return None
    return float(np.mean(means)), float(np.mean(stds)) if len(stds) == len(means) else None


def group_weights(groups: NDArray[np.str_], common: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the weight of each pair in the mean over groups of the group means, ``(N,)``; they sum to 1.

    Args:
        groups: ``(N,)`` the group of each pair.
        common: ``(N,)`` which pairs count; the others get weight 0. All by default.
    """
    inside = np.ones(len(groups), np.bool_) if common is None else common
    names, group_index, counts = np.unique(groups[inside], return_inverse=True, return_counts=True)
    weights = np.zeros(len(groups))
    weights[inside] = 1.0 / (len(names) * counts[group_index])
    return weights


def in_distribution(scores: LossScores, distribution: Distribution) -> NDArray[np.bool_]:
    """Return which rows of the scores belong to a distribution, ``(N,)``."""
    return (np.array(scores.groups) == ID_GROUP) == (distribution == "ID")


def table_of(rows: Sequence[Row], case: Case, distribution: Distribution) -> dict[tuple[str, str], Row]:
    """Return (loss, metric) → cell of one table."""
    return {
        (row.loss, row.metric): row
        for row in rows
        if (row.framework, row.labels, row.size, row.group) == (*case, distribution)
    }


def _table(
    case: Case, distribution: Distribution, losses: Mapping[str, LossScores], permutations: int, seed: int
) -> Iterator[Row]:
    reference = losses.get(REFERENCE)
    tests = {} if reference is None else _compare(reference, losses, distribution, permutations, seed)
    for loss, scores in losses.items():
        for metric in METRICS:
            cell = mean_and_std(scores, metric.name, distribution)
            if cell is None:
                continue
            test = tests.get((loss, metric.name))
            base = None if reference is None else mean_and_std(reference, metric.name, distribution)
            sign = 0 if test is None or base is None else _verdict(metric, test, cell[0], base[0])
            p = None if test is None else test.p
            yield Row(*case, distribution, loss, metric.name, *cell, p, bold=sign > 0, worse=sign < 0)


@dataclass(frozen=True)
class _Test:
    """p, the weighted mean difference on the common pairs, and whether these are all pairs of both losses."""

    p: float
    difference: float
    complete: bool


def _verdict(metric: Metric, test: _Test, mean: float, base: float) -> int:
    """Return 1 if the loss is significantly better than the reference, −1 if worse, otherwise 0."""
    up = -1 if metric.better == "lower" else 1
    printed = int(np.sign(rounded(mean) - rounded(base))) * up
    paired = printed if test.complete else int(np.sign(test.difference)) * up
    return printed if test.p < SIGNIFICANT and printed == paired else 0


def _compare(
    reference: LossScores, losses: Mapping[str, LossScores], distribution: Distribution, permutations: int, seed: int
) -> dict[tuple[str, str], _Test]:
    """Return (loss, metric) → the test against the reference; all tests share the sign flips of its pairs."""
    inside = in_distribution(reference, distribution)
    groups = np.array(reference.groups)[inside]
    pairs = [pair for pair, keep in zip(reference.pairs, inside, strict=True) if keep]
    keys, differences, weights, complete = [], [], [], []
    for loss, scores in losses.items():
        if loss == REFERENCE:
            continue
        rows = in_distribution(scores, distribution)
        index_of = {pair: index for index, pair in enumerate(scores.pairs)}
        # Row of each of the reference's pairs; missing pairs point to an extra last row of NaN.
        indices = np.array([index_of.get(pair, len(index_of)) for pair in pairs], np.int64)
        for metric in METRICS:
            if metric.name not in scores.values or metric.name not in reference.values:
                continue
            values, base = scores.values[metric.name], reference.values[metric.name][inside]
            difference = np.append(values, np.nan)[indices] - base
            common = ~np.isnan(difference)
            if not common.any():
                continue
            keys.append((loss, metric.name))
            differences.append(np.where(common, difference, 0.0))
            weights.append(group_weights(groups, common))
            complete.append(bool(common.sum() == (~np.isnan(values[rows])).sum() == (~np.isnan(base)).sum()))
    if not keys:
        return {}
    stacked, shares = np.stack(differences, 1), np.stack(weights, 1)
    p_values = permutation_test(stacked, weights=shares, permutations=permutations, seed=seed).tolist()
    means = (stacked * shares).sum(0).tolist()
    return {key: _Test(*fields) for key, *fields in zip(keys, p_values, means, complete, strict=True)}
