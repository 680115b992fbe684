"""Comparison of all results with one reference, such as clDice on weak labels with CE + Dice on accurate labels.

The tables of a case compare losses trained on the same labels (`wsss.benchmark.table_cells`). Networks trained on
different labels share images, but their seeds are unrelated. The seeds of an image are therefore averaged first, and
the images are the pairs:

- *difference*: mean over the common images of the score minus the reference's. Out of distribution, all groups have
  equal weight, as in the tables.
- *interval*: 95 % percentile bootstrap interval of the difference, with images resampled within their groups (Efron &
  Tibshirani, 1993, ch. 13).
- *p*: paired permutation test on these pairs, two-sided like the interval (the paper's tables use the upper tail).

All three describe the variation over images. The means per seed show the variation over training runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from wsss.benchmark.permutation import PERMUTATIONS, permutation_test
from wsss.benchmark.score_set import METRICS, Benchmark, Case, LossScores, Metric, short_name
from wsss.benchmark.table_cells import DISTRIBUTIONS, SIGNIFICANT, Distribution, group_weights, in_distribution
from wsss.errors import InvalidInput
from wsss.metrics.statistics import draws, percentile_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000


class Arm(NamedTuple):
    """One loss of one case: training runs that differ only in their seed."""

    case: Case
    loss: str

    def __str__(self) -> str:
        return f"{self.case}/{self.loss}"


@dataclass(frozen=True)
class Contrast:
    """Comparison of one metric of one arm with the reference.

    Args:
        group: ``ID`` or ``OOD``.
        metric: short name of the metric.
        images: number of common images.
        seeds: seed → mean over these images (OOD: over the groups' means), for seeds that scored all of them.
        mean: mean score of the arm on these images, seeds averaged per image.
        difference: ``mean`` minus the mean of the reference.
        low, high: 95 % interval of the difference; ``None`` if a group has a single image.
        p: p-value of the two-sided permutation test.
        verdict: ``better`` or ``worse`` if p < 0.05, otherwise ``None``; always ``None`` for the reference itself.
    """

    arm: Arm
    group: Distribution
    metric: str
    images: int
    seeds: Mapping[int, float]
    mean: float
    difference: float
    low: float | None
    high: float | None
    p: float
    verdict: Literal["better", "worse"] | None


def find_arm(benchmark: Benchmark, name: str) -> Arm:
    """Return the arm ``framework/labels/size/loss``; any name of the loss is accepted.

    Raises:
        InvalidInput: there is no such arm.
    """
    *case, loss = name.split("/")
    arms = {str(arm): arm for arm in arms_of(benchmark)}
    key = "/".join([*case, short_name(loss)])
    if key not in arms:
        raise InvalidInput(
            "no such result", subject="reference", found=name, allowed=arms, hint="Write FRAMEWORK/LABELS/SIZE/LOSS."
        )
    return arms[key]


def arms_of(benchmark: Benchmark) -> list[Arm]:
    """Return all arms, in the order of the tables."""
    return [Arm(case, loss) for case, losses in benchmark.cases.items() for loss in losses]


def contrasts(
    benchmark: Benchmark, reference: Arm, *, permutations: int = PERMUTATIONS, resamples: int = RESAMPLES, seed: int = 0
) -> list[Contrast]:
    """Compare every arm with the reference, ordered by distribution (ID first), arm (the reference first) and metric.

    Metrics without a common image are omitted.

    Args:
        reference: the arm that all others are compared with.
        permutations: number of sign flips per permutation test.
        seed: random seed of sign flips and resamples, shared by all arms.
    """
    arms = [reference, *(arm for arm in arms_of(benchmark) if arm != reference)]
    base = benchmark.cases[reference.case][reference.loss]
    return [
        _contrast(arm, metric, distribution, pairs, permutations, resamples, seed)
        for distribution in DISTRIBUTIONS
        for arm in arms
        for metric in METRICS
        if (pairs := _pairs(benchmark.cases[arm.case][arm.loss], base, metric.name, distribution)) is not None
    ]


class _Pairs(NamedTuple):
    """Common images: groups ``(N,)``, seeds ``(S,)``, scores of the arm ``(N, S)`` and of the reference ``(N, R)``.

    The score of an image that a seed lacks is NaN.
    """

    groups: NDArray[np.str_]
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    base: NDArray[np.float64]


class _ImageScores(NamedTuple):
    group: str
    by_seed: dict[int, float]


def _pairs(scores: LossScores, base: LossScores, metric: str, distribution: Distribution) -> _Pairs | None:
    if metric not in scores.values or metric not in base.values:
        return None
    arm_scores, base_scores = _by_image(scores, metric, distribution), _by_image(base, metric, distribution)
    images = [image for image in arm_scores if image in base_scores]
    if not images:
        return None
    seeds, values = _matrix([arm_scores[image] for image in images])
    groups = np.array([arm_scores[image].group for image in images])
    return _Pairs(groups, seeds, values, _matrix([base_scores[image] for image in images])[1])


def _matrix(images: Sequence[_ImageScores]) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return the seeds that scored any of the images, and their scores ``(N, S)``."""
    seeds = tuple(sorted({seed for image in images for seed in image.by_seed}))
    return seeds, np.array([[image.by_seed.get(seed, np.nan) for seed in seeds] for image in images])


def _by_image(scores: LossScores, metric: str, distribution: Distribution) -> dict[str, _ImageScores]:
    """Return the defined scores by image."""
    images: dict[str, _ImageScores] = {}
    inside = in_distribution(scores, distribution) & ~np.isnan(scores.values[metric])
    for row in np.flatnonzero(inside):
        image = images.setdefault(scores.images[row], _ImageScores(scores.groups[row], {}))
        image.by_seed[scores.seeds[row]] = float(scores.values[metric][row])
    return images


def _contrast(
    arm: Arm, metric: Metric, distribution: Distribution, pairs: _Pairs, permutations: int, resamples: int, seed: int
) -> Contrast:
    values = np.nanmean(pairs.values, 1)
    differences = values - np.nanmean(pairs.base, 1)
    weights = group_weights(pairs.groups)
    difference = float(weights @ differences)
    p = float(
        permutation_test(differences[:, None], weights=weights, permutations=permutations, seed=seed, two_sided=True)[0]
    )
    low, high = _interval(differences, pairs.groups, resamples, seed)
    gain = -difference if metric.better == "lower" else difference
    verdict: Literal["better", "worse"] | None = None
    if p < SIGNIFICANT and gain:
        verdict = "better" if gain > 0 else "worse"
    # The mean of a seed that lacks an image is NaN, and would not be comparable with the others.
    means = zip(pairs.seeds, weights @ pairs.values, strict=True)
    seeds = {training_seed: float(mean) for training_seed, mean in means if not np.isnan(mean)}
    mean = float(weights @ values)
    return Contrast(arm, distribution, metric.name, len(values), seeds, mean, difference, low, high, p, verdict)


def _interval(
    differences: NDArray[np.float64], groups: NDArray[np.str_], resamples: int, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Return the bootstrap interval of the mean of the group means, with images resampled within each group."""
    means = []
    for number, name in enumerate(np.unique(groups)):
        inside = differences[groups == name]
        if len(inside) < 2:
            return None, None
        counts = draws(len(inside), resamples, seed + number)
        means.append(np.concatenate([chunk @ inside / len(inside) for chunk in counts]))
    return percentile_interval(np.mean(means, 0)) or (None, None)
