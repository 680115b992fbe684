"""The cells of TopoMortar's tables: mean ± standard deviation, p against CE+Dice, and which are printed bold.

As the authors compute them (`compute_tables.py` of their repository):

- *ID*: mean and sample standard deviation (n − 1) over all images × seeds of the in-distribution group.
- *OOD*: the mean over the groups of the group's mean, and of the group's standard deviation.
- *p*: `wsss.benchmark.permutation.permutation_test` on the pairs (image, seed) that the loss shares with CE+Dice. For
  OOD the authors pool the pairs of all groups; here each group has the same weight, as in the number shown.
  With groups of one size, as in the published dataset, these are the same.
- *bold*: better than CE+Dice after rounding to two decimals, and p < 0.05.

Where a loss and CE+Dice are not known on the same pairs, the means are over what each has, as in the authors' program;
bold then asks in addition that the loss be better on the common pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsss.benchmark.permutation import SWAPS, permutation_test
from wsss.benchmark.score_set import ID_GROUP, METRICS, REFERENCE, Benchmark, Case, Measured, Metric, ood_groups

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
        mean, std: see the module; ``std`` is ``None`` where it is not defined (a single value, in any group).
        p: against CE+Dice; ``None`` for itself, or without common pairs.
        bold: better than CE+Dice, and significantly so.
        worse: the same rule turned round. It is in no output of single cells, which have the paper's bold alone.
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


def benchmark_rows(benchmark: Benchmark, *, swaps: int = SWAPS, seed: int = 0) -> list[Row]:
    """Return the cells of all tables: case by case, ID before OOD, loss by loss, metric by metric.

    A cell of which nothing was measured is left out.

    Args:
        benchmark: the results.
        swaps: of the permutation tests.
        seed: of the swaps; every table begins with the same draws.
    """
    rows = []
    for case, losses in benchmark.cases.items():
        for distribution in DISTRIBUTIONS:
            rows += _table(case, distribution, losses, swaps, seed)
    return rows


def rounded(value: float) -> float:
    """Return a number as the tables print it."""
    return float(np.round(value, DECIMALS))


def mean_and_std(one: Measured, metric: str, distribution: Distribution) -> tuple[float, float | None] | None:
    """Return mean and standard deviation of a loss, ``None`` where nothing was measured."""
    if metric not in one.values:
        return None
    groups = np.array(one.groups)
    found = []
    for group in (ID_GROUP,) if distribution == "ID" else ood_groups(one.groups):
        values = one.values[metric][groups == group]
        values = values[~np.isnan(values)]
        if len(values):
            found.append((float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None))
    if not found:
        return None
    stds = [std for _, std in found if std is not None]
    mean = float(np.mean([mean for mean, _ in found]))
    return mean, float(np.mean(stds)) if len(stds) == len(found) else None


def group_weights(groups: NDArray[np.str_], common: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return each pair's weight in the mean over groups of the group means, ``(N,)``; they sum to 1.

    Args:
        groups: ``(N,)`` the group of each pair.
        common: ``(N,)`` the pairs that count; the others have weight 0. By default all do.
    """
    inside = np.ones(len(groups), np.bool_) if common is None else common
    names, place, counts = np.unique(groups[inside], return_inverse=True, return_counts=True)
    weights = np.zeros(len(groups))
    weights[inside] = 1.0 / (len(names) * counts[place])
    return weights


def _table(case: Case, distribution: Distribution, losses: Mapping[str, Measured], swaps: int, seed: int) -> list[Row]:
    reference = losses.get(REFERENCE)
    tests = {} if reference is None else _compare(reference, losses, distribution, swaps, seed)
    rows = []
    for loss, one in losses.items():
        for metric in METRICS:
            cell = mean_and_std(one, metric.name, distribution)
            if cell is None:
                continue
            test = tests.get((loss, metric.name))
            base = None if reference is None else mean_and_std(reference, metric.name, distribution)
            sign = 0 if test is None or base is None else _verdict(metric, test, cell[0], base[0])
            p = None if test is None else test.p
            rows.append(Row(*case, distribution, loss, metric.name, *cell, p, bold=sign > 0, worse=sign < 0))
    return rows


def _verdict(metric: Metric, test: _Test, mean: float, base: float) -> int:
    """Return 1 if the loss is significantly better than the reference, −1 if worse, else 0."""
    up = -1 if metric.better == "lower" else 1
    shown = int(np.sign(rounded(mean) - rounded(base))) * up
    paired = shown if test.complete else int(np.sign(test.difference)) * up
    return shown if test.p < SIGNIFICANT and shown == paired else 0


@dataclass(frozen=True)
class _Test:
    """p, the (weighted) mean difference on the common pairs, and whether these are all pairs of both losses."""

    p: float
    difference: float
    complete: bool


def _compare(
    reference: Measured, losses: Mapping[str, Measured], distribution: Distribution, swaps: int, seed: int
) -> dict[tuple[str, str], _Test]:
    """Return (loss, metric) → the test against the reference, all on one set of swaps of the reference's pairs."""
    inside = _inside(reference, distribution)
    groups, pairs = np.array(reference.groups)[inside], np.array(reference.pairs, object)[inside]
    keys, differences, weights, complete = [], [], [], []
    for loss, one in losses.items():
        if loss == REFERENCE:
            continue
        theirs = _inside(one, distribution)
        place_of = {pair: place for place, pair in enumerate(one.pairs)}
        # Where each of the reference's pairs stands; the last place is a row of its own for those that are missing.
        places = np.array([place_of.get(tuple(pair), len(place_of)) for pair in pairs], np.int64)
        for metric in METRICS:
            if metric.name not in one.values or metric.name not in reference.values:
                continue
            values, base = one.values[metric.name], reference.values[metric.name][inside]
            difference = np.append(values, np.nan)[places] - base
            common = ~np.isnan(difference)
            if not common.any():
                continue
            keys.append((loss, metric.name))
            differences.append(np.where(common, difference, 0.0))
            weights.append(group_weights(groups, common))
            complete.append(common.sum() == (~np.isnan(values[theirs])).sum() == (~np.isnan(base)).sum())
    if not keys:
        return {}
    stacked, shares = np.stack(differences, 1), np.stack(weights, 1)
    found = permutation_test(stacked, weights=shares, swaps=swaps, seed=seed)
    means = (stacked * shares).sum(0)
    return {
        key: _Test(float(p), float(mean), bool(whole))
        for key, p, mean, whole in zip(keys, found, means, complete, strict=True)
    }


def _inside(one: Measured, distribution: Distribution) -> NDArray[np.bool_]:
    """Return which rows are in the distribution, ``(N,)``."""
    return (np.array(one.groups) == ID_GROUP) == (distribution == "ID")


def table_of(rows: Sequence[Row], case: Case, distribution: Distribution) -> dict[tuple[str, str], Row]:
    """Return (loss, metric) → cell of one table."""
    return {
        (row.loss, row.metric): row
        for row in rows
        if (row.framework, row.labels, row.size, row.group) == (*case, distribution)
    }
