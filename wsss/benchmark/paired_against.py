"""Every loss of every case against one of them: clDice on weak labels against CE+Dice on accurate ones, say.

The tables of a case compare losses that learned from the same labels (`wsss.benchmark.table_cells`). Networks that
learned from different labels share images, but a seed of one has nothing to do with the same seed of the other. So the
seeds of an image are averaged first, and images are the pairs:

- *difference*: mean over the images of both, of the score less the reference's. Out of distribution each group has the
  same weight, as in the tables.
- *interval*: 95 % percentile interval of that difference, images drawn with replacement within their groups (Efron &
  Tibshirani, 1993, ch. 13).
- *p*: paired permutation test on these pairs, two-sided as the interval is. (The paper's tables have the upper side.)

All three say what other walls would change. What other trainings would change is for the means of the single seeds to
say, which stand beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from wsss.benchmark.permutation import SWAPS, permutation_test
from wsss.benchmark.score_set import ID_GROUP, METRICS, Benchmark, Case, Measured, Metric, short_name
from wsss.benchmark.table_cells import DISTRIBUTIONS, SIGNIFICANT, Distribution, group_weights
from wsss.errors import InvalidInput, closest, listing
from wsss.metrics.statistics import draws, percentile_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000


class Arm(NamedTuple):
    """One loss of one case: what a number of trainings that differ in their seed have in common."""

    case: Case
    loss: str

    def __str__(self) -> str:
        return f"{self.case}/{self.loss}"


@dataclass(frozen=True)
class Contrast:
    """One score of one arm, less that of the reference.

    Args:
        arm: whose.
        group: ``ID`` or ``OOD``.
        metric: short name.
        images: how many both have.
        seeds: seed → its mean over these images (OOD: over the groups' means), the seeds that scored all of them.
        mean: of the arm on these images, seeds averaged per image.
        difference: to the reference; negative is below it.
        low, high: 95 % interval of the difference; ``None`` where a group has a single image.
        p: of the permutation test, two-sided.
        verdict: ``better`` or ``worse`` where p < 0.05, else ``None``; for the reference itself always ``None``.
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
    """Return the arm called ``framework/labels/size/loss``; a loss may have any of its names.

    Raises:
        InvalidInput: there is none of this name.
    """
    *case, loss = name.split("/")
    known = {str(one): one for one in arms_of(benchmark)}
    wanted = "/".join([*case, short_name(loss)])
    if wanted not in known:
        raise InvalidInput(
            f"against: {name!r} is not among the results; there are {listing(list(known), limit=20)}"
            f"{closest(wanted, known)}",
            hint="Name one as FRAMEWORK/LABELS/SIZE/LOSS.",
        )
    return known[wanted]


def arms_of(benchmark: Benchmark) -> list[Arm]:
    """Return all arms, in the order of the tables."""
    return [Arm(case, loss) for case, losses in benchmark.cases.items() for loss in losses]


def contrasts(
    benchmark: Benchmark, reference: Arm, *, swaps: int = SWAPS, resamples: int = RESAMPLES, seed: int = 0
) -> list[Contrast]:
    """Return every arm's scores against the reference's: ID before OOD, arm by arm (the reference first), by metric.

    What both have no image of in common is left out.

    Args:
        benchmark: the results.
        reference: the arm that all are compared with.
        swaps: of the permutation tests.
        resamples: of the intervals.
        seed: of swaps and resamples; all arms see the same ones.
    """
    others = [one for one in arms_of(benchmark) if one != reference]
    base = benchmark.cases[reference.case][reference.loss]
    found = []
    for distribution in DISTRIBUTIONS:
        for arm in [reference, *others]:
            theirs = benchmark.cases[arm.case][arm.loss]
            for metric in METRICS:
                pairs = _pairs(theirs, base, metric.name, distribution)
                if pairs is not None:
                    found.append(_contrast(arm, metric, distribution, pairs, swaps, resamples, seed))
    return found


class _Pairs(NamedTuple):
    """Images that both have: groups ``(N,)``, and the scores of all seeds of both, ``(N, S)`` (NaN: not there)."""

    groups: NDArray[np.str_]
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    base: NDArray[np.float64]


def _pairs(theirs: Measured, base: Measured, metric: str, distribution: Distribution) -> _Pairs | None:
    if metric not in theirs.values or metric not in base.values:
        return None
    one, other = _by_image(theirs, metric, distribution), _by_image(base, metric, distribution)
    images = [image for image in one if image in other]
    if not images:
        return None
    groups = np.array([one[image][0] for image in images])
    seeds, values = _matrix(one, images)
    return _Pairs(groups, seeds, values, _matrix(other, images)[1])


def _matrix(
    scores: Mapping[str, tuple[str, Mapping[int, float]]], images: Sequence[str]
) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return the seeds that scored some of the images, and their scores ``(N, S)``."""
    seeds = tuple(sorted({seed for image in images for seed in scores[image][1]}))
    return seeds, np.array([[scores[image][1].get(seed, np.nan) for seed in seeds] for image in images])


def _by_image(measured: Measured, metric: str, distribution: Distribution) -> dict[str, tuple[str, dict[int, float]]]:
    """Return image → (its group, seed → score), scores that are defined."""
    found: dict[str, tuple[str, dict[int, float]]] = {}
    rows = zip(measured.images, measured.groups, measured.seeds, measured.values[metric], strict=True)
    for image, group, seed, value in rows:
        if (group == ID_GROUP) == (distribution == "ID") and not np.isnan(value):
            found.setdefault(image, (group, {}))[1][seed] = float(value)
    return found


def _contrast(
    arm: Arm, metric: Metric, distribution: Distribution, pairs: _Pairs, swaps: int, resamples: int, seed: int
) -> Contrast:
    values = np.nanmean(pairs.values, 1)
    differences = values - np.nanmean(pairs.base, 1)
    weights = group_weights(pairs.groups)
    difference = float(weights @ differences)
    p = float(permutation_test(differences[:, None], weights=weights, swaps=swaps, seed=seed, two_sided=True)[0])
    low, high = _interval(differences, pairs.groups, resamples, seed)
    good = difference * (-1 if metric.better == "lower" else 1)
    verdict: Literal["better", "worse"] | None = None
    if p < SIGNIFICANT and good:
        verdict = "better" if good > 0 else "worse"
    # A seed that lacks an image has a mean that is not a number: it can't stand beside the others.
    seeds = {one: float(mean) for one, mean in zip(pairs.seeds, weights @ pairs.values, strict=True) if mean == mean}
    mean = float(weights @ values)
    images = len(values)
    return Contrast(arm, distribution, metric.name, images, seeds, mean, difference, low, high, p, verdict)


def _interval(
    differences: NDArray[np.float64], groups: NDArray[np.str_], resamples: int, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Return the interval of the mean over groups of group means, images drawn within each group."""
    parts = []
    for number, name in enumerate(np.unique(groups)):
        inside = differences[groups == name]
        if len(inside) < 2:
            return None, None
        drawn = draws(len(inside), resamples, seed + number)
        parts.append(np.concatenate([counts @ inside / len(inside) for counts in drawn]))
    return percentile_interval(np.mean(parts, 0)) or (None, None)
