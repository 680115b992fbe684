"""The order of the losses: mean ranks over tables or images, and the critical difference between them.

The critical difference is Nemenyi's (Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR
2006): two mean ranks over N blocks of k treatments differ significantly if they are at least ``q √(k (k + 1) / 6N)``
apart, where q is the studentized range of k groups with infinite degrees of freedom, divided by √2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.benchmark.score_set import METRICS, LossScores, Metric
from wsss.benchmark.table_cells import DISTRIBUTIONS, SIGNIFICANT, Distribution, Row, in_distribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = tuple(metric for metric in METRICS if metric.shown)


@dataclass(frozen=True)
class Standing:
    """The standing of one loss over all tables of one distribution.

    Args:
        rank: mean rank, 1 is best; ``None`` where the loss cannot be ranked.
        better: number of cells significantly better than CE+Dice (the bold ones).
        worse: number of cells significantly worse, by the same rule.
    """

    rank: float | None
    better: int
    worse: int
    cells: int


@dataclass(frozen=True)
class Ranking:
    """The order of the losses.

    Args:
        standings: loss → distribution → standing, sorted by mean rank (ID first).
        blocks: distribution → number of ranked table columns (tables × metrics).
        incomplete: losses without a rank, since they lack a table or metric of the others.
    """

    standings: Mapping[str, Mapping[Distribution, Standing]]
    blocks: Mapping[Distribution, int]
    incomplete: tuple[str, ...]


@dataclass(frozen=True)
class ImageRanks:
    """Mean ranks of the losses over images, seeds averaged per image.

    Args:
        ranks: loss → mean rank.
        critical: Nemenyi's critical difference at .05.
    """

    ranks: Mapping[str, float]
    images: int
    critical: float


def critical_difference(losses: int, blocks: int) -> float:
    """Return the smallest difference between two mean ranks that is significant.

    Raises:
        ValueError: fewer than two losses, or no block.
    """
    from scipy.stats import studentized_range

    if losses < 2 or blocks < 1:
        raise ValueError(f"expected 2 or more losses and 1 or more blocks, got {losses} and {blocks}")
    q = float(studentized_range.ppf(1 - SIGNIFICANT, losses, np.inf)) / math.sqrt(2)
    return q * math.sqrt(losses * (losses + 1) / (6 * blocks))


def rank_losses(rows: Sequence[Row]) -> Ranking:
    """Rank the losses in every table by each metric shown in the paper, and average, ID and OOD separately.

    Tables of a single loss are ignored. A loss without some of the cells of the others gets no rank, since its mean
    would be over different tables.
    """
    shown = {metric.name for metric in SHOWN}
    rows = [row for row in rows if row.metric in shown]
    losses = tuple(dict.fromkeys(row.loss for row in rows))
    blocks = {distribution: _blocks(rows, distribution) for distribution in DISTRIBUTIONS}
    incomplete = tuple(
        loss for loss in losses if any(loss not in cells for rows in blocks.values() for cells in rows.values())
    )
    complete = [loss for loss in losses if loss not in incomplete]
    mean_ranks = {distribution: _mean_ranks(rows, complete) for distribution, rows in blocks.items()}
    present = [distribution for distribution in DISTRIBUTIONS if any(row.group == distribution for row in rows)]
    standings = {
        loss: {
            distribution: _standing(
                [row for row in rows if (row.loss, row.group) == (loss, distribution)],
                mean_ranks[distribution].get(loss),
            )
            for distribution in present
        }
        for loss in losses
    }
    order = sorted(losses, key=lambda loss: [_or_last(standing.rank) for standing in standings[loss].values()])
    return Ranking(
        {loss: standings[loss] for loss in order},
        {distribution: len(rows) for distribution, rows in blocks.items()},
        incomplete,
    )


def rank_over_images(losses: Mapping[str, LossScores], metric: Metric, distribution: Distribution) -> ImageRanks | None:
    """Rank the losses of one case on every image of a distribution by one metric, seeds averaged per image.

    Losses without any score of the metric in the distribution are left out; images that one of the others lacks are
    ignored.

    Returns:
        ``None`` for fewer than two losses or without a common image.
    """
    scored = {
        loss: _image_means(scores, metric.name, distribution)
        for loss, scores in losses.items()
        if metric.name in scores.values
    }
    means = {loss: of_loss for loss, of_loss in scored.items() if of_loss}
    common = [image for image in next(iter(means.values()), {}) if all(image in of_loss for of_loss in means.values())]
    if len(means) < 2 or not common:
        return None
    values = np.array([[of_loss[image] for of_loss in means.values()] for image in common])
    mean_ranks = _ranks(values, metric).mean(0)
    critical = critical_difference(len(means), len(common))
    return ImageRanks(dict(zip(means, map(float, mean_ranks), strict=True)), len(common), critical)


def _ranks(values: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """Return the rank of each value in its row, ``(B, k)``: 1 for the best, mean ranks for ties."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values if metric.better == "lower" else -values, axis=1))


def _image_means(scores: LossScores, metric: str, distribution: Distribution) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    rows = zip(scores.images, in_distribution(scores, distribution), scores.values[metric], strict=True)
    for image, inside, value in rows:
        if inside and not math.isnan(value):
            values.setdefault(image, []).append(float(value))
    return {image: math.fsum(several) / len(several) for image, several in values.items()}


def _blocks(rows: Sequence[Row], distribution: Distribution) -> dict[tuple[str, ...], dict[str, Row]]:
    """Return the columns of the tables with two or more losses: (case, metric) → loss → cell."""
    blocks: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        if row.group == distribution:
            blocks.setdefault((row.framework, row.labels, row.size, row.metric), {})[row.loss] = row
    return {key: cells for key, cells in blocks.items() if len(cells) > 1}


def _mean_ranks(blocks: Mapping[tuple[str, ...], Mapping[str, Row]], losses: Sequence[str]) -> dict[str, float]:
    if len(losses) < 2 or not blocks:
        return {}
    metrics = {metric.name: metric for metric in SHOWN}
    ranks = [
        _ranks(np.array([[cells[loss].mean for loss in losses]]), metrics[key[-1]])[0] for key, cells in blocks.items()
    ]
    return dict(zip(losses, map(float, np.mean(ranks, axis=0)), strict=True))


def _standing(cells: Sequence[Row], rank: float | None) -> Standing:
    return Standing(rank, sum(row.bold for row in cells), sum(row.worse for row in cells), len(cells))


def _or_last(rank: float | None) -> float:
    return math.inf if rank is None else rank
