"""Which loss comes first: ranks, their means over tables or over images, and how far apart these have to be.

The critical difference is Nemenyi's (Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR
2006): two mean ranks over N blocks of k treatments differ significantly if they are at least ``q √(k (k + 1) / 6N)``
apart, with q the studentised range of k groups and infinite degrees of freedom, divided by √2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wsss.benchmark.score_set import ID_GROUP, METRICS, Measured, Metric
from wsss.benchmark.table_cells import DISTRIBUTIONS, SIGNIFICANT, Distribution, Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = tuple(metric for metric in METRICS if metric.shown)


@dataclass(frozen=True)
class Standing:
    """How one loss does over all tables of one distribution.

    Args:
        rank: mean rank, 1 is best; ``None`` where it can't be ranked.
        better: cells in which it is significantly better than CE+Dice (bold ones).
        worse: cells in which it is significantly worse, by the same rule turned round.
        cells: how many it has.
    """

    rank: float | None
    better: int
    worse: int
    cells: int


@dataclass(frozen=True)
class Ranking:
    """The order of the losses.

    Args:
        standings: loss → distribution → standing, the best mean rank first, by ID where there is one.
        blocks: distribution → tables × metrics that the ranks are the mean over.
        incomplete: losses that lack some table or metric of the others, and so have no rank.
    """

    standings: Mapping[str, Mapping[Distribution, Standing]]
    blocks: Mapping[Distribution, int]
    incomplete: tuple[str, ...]


@dataclass(frozen=True)
class ImageRanks:
    """Mean ranks of the losses over images (each image's mean over the seeds is ranked).

    Args:
        ranks: loss → mean rank.
        images: how many.
        critical: the difference that two ranks must have to be significant (Nemenyi, at .05).
    """

    ranks: Mapping[str, float]
    images: int
    critical: float


def ranks(values: NDArray[np.float64], *, lower_is_better: bool) -> NDArray[np.float64]:
    """Return the rank of each value in its row, ``(B, k)``: 1 for the best, the mean of their ranks for equal ones."""
    signed = values if lower_is_better else -values
    below = (signed[:, None, :] < signed[:, :, None]).sum(2)
    equal = (signed[:, None, :] == signed[:, :, None]).sum(2)
    return below + (equal + 1) / 2


def critical_difference(losses: int, blocks: int, alpha: float = SIGNIFICANT) -> float:
    """Return the difference of two mean ranks that is significant at ``alpha``.

    Raises:
        ValueError: fewer than two losses, or no block.
    """
    if losses < 2 or blocks < 1:
        raise ValueError(f"ranks of {losses} losses over {blocks} blocks can't be compared")
    return _studentised_range(1 - alpha, losses) / math.sqrt(2) * math.sqrt(losses * (losses + 1) / (6 * blocks))


def rank_losses(rows: Sequence[Row]) -> Ranking:
    """Rank the losses in every table by every metric that the paper shows, and average, ID and OOD apart.

    Tables of a single loss are left out. A loss without some of the cells that others have gets no rank: its mean would
    be over other tables than theirs.
    """
    shown = {metric.name for metric in SHOWN}
    rows = [row for row in rows if row.metric in shown]
    losses = tuple(dict.fromkeys(row.loss for row in rows))
    blocks: dict[Distribution, dict[tuple[str, ...], dict[str, Row]]] = {one: {} for one in DISTRIBUTIONS}
    for row in rows:
        key = (row.framework, row.labels, row.size, row.metric)
        blocks[row.group].setdefault(key, {})[row.loss] = row
    # A table with a single loss ranks nothing, and leaves those that it lacks what the others say of them.
    blocks = {one: {key: cells for key, cells in several.items() if len(cells) > 1} for one, several in blocks.items()}
    incomplete = tuple(
        loss for loss in losses if any(loss not in cells for several in blocks.values() for cells in several.values())
    )
    ranked = [loss for loss in losses if loss not in incomplete]
    found = {one: _mean_ranks(several, ranked) for one, several in blocks.items()}
    standings: dict[str, dict[Distribution, Standing]] = {
        loss: {
            one: _standing([row for row in rows if row.loss == loss and row.group == one], found[one].get(loss))
            for one in blocks
            if any(row.group == one for row in rows)
        }
        for loss in losses
    }
    order = sorted(losses, key=lambda loss: [_or_last(one.rank) for one in standings[loss].values()])
    return Ranking(
        {loss: standings[loss] for loss in order}, {one: len(several) for one, several in blocks.items()}, incomplete
    )


def rank_over_images(losses: Mapping[str, Measured], metric: Metric, distribution: Distribution) -> ImageRanks | None:
    """Rank the losses of one case on every image of a distribution by one metric.

    Each image's value is the mean over the seeds; images that not all losses have are left out.

    Returns:
        ``None`` for fewer than two losses or without a common image.
    """
    means = {
        loss: _image_means(one, metric.name, distribution) for loss, one in losses.items() if metric.name in one.values
    }
    common = [image for image in next(iter(means.values()), {}) if all(image in one for one in means.values())]
    if len(means) < 2 or not common:
        return None
    values = np.array([[one[image] for one in means.values()] for image in common])
    mean_ranks = ranks(values, lower_is_better=metric.better == "lower").mean(0)
    critical = critical_difference(len(means), len(common))
    return ImageRanks(dict(zip(means, map(float, mean_ranks), strict=True)), len(common), critical)


def _image_means(one: Measured, metric: str, distribution: Distribution) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for image, group, value in zip(one.images, one.groups, one.values[metric], strict=True):
        if (group == ID_GROUP) == (distribution == "ID") and not math.isnan(value):
            values.setdefault(image, []).append(float(value))
    return {image: math.fsum(several) / len(several) for image, several in values.items()}


def _mean_ranks(blocks: Mapping[tuple[str, ...], Mapping[str, Row]], losses: Sequence[str]) -> dict[str, float]:
    if len(losses) < 2 or not blocks:
        return {}
    lower = {metric.name: metric.better == "lower" for metric in SHOWN}
    found = [
        ranks(np.array([[cells[loss].mean for loss in losses]]), lower_is_better=lower[key[-1]])[0]
        for key, cells in blocks.items()
    ]
    return dict(zip(losses, map(float, np.mean(found, axis=0)), strict=True))


def _standing(cells: Sequence[Row], rank: float | None) -> Standing:
    return Standing(rank, sum(row.bold for row in cells), sum(row.worse for row in cells), len(cells))


def _or_last(rank: float | None) -> float:
    return math.inf if rank is None else rank


def _studentised_range(probability: float, groups: int) -> float:
    """Return the quantile of the range of ``groups`` independent standard normal variables, by bisection."""
    step = 0.004
    z = np.arange(-8, 8, step)  # the integrand is 0 at both ends, so the trapezoidal rule is the plain sum
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)

    def below(q: float) -> float:
        inside = _normal(z + q) - _normal(z)
        return float(groups * step * (density * inside ** (groups - 1)).sum())

    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < probability else (low, middle)
    return (low + high) / 2


def _normal(values: Iterable[float]) -> NDArray[np.float64]:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in values])
