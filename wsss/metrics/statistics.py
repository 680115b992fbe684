"""Spread of a score: over seeds (mean and standard deviation), and over images (the bootstrap).

The bootstrap over images (Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, ch. 13: percentile interval)
draws as many images as there are, with replacement, and computes the score anew from the summed counts of those drawn.
It asks how much a score depends on which photographs one happens to have; how much it depends on the seed of the
training is what the standard deviation over seeds tells.

The draws depend on nothing but the number of images and a seed. Two variants scored on the same images are therefore
drawn in pairs: the difference of their replicates is the replicate of their difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Statistic = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
"""Counts summed over images, ``(R, …)``, to one number each, ``(R,)``; NaN where it is not defined."""

CHUNK = 128
"""Draws made at a time; it bounds memory, and (with the seed) fixes which images are drawn."""


@dataclass(frozen=True)
class Spread:
    """Mean over seeds; sample standard deviation (divisor n − 1), ``None`` for a single one; and their number n."""

    mean: float
    std: float | None
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation of at least one number.

    Raises:
        ValueError: there is none.
    """
    if not values:
        raise ValueError("no value to average")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, None, 1)
    return Spread(mean, math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1)), len(values))


def draws(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each image is drawn, ``(r, N)`` with rows that sum to N; ``resamples`` rows in all.

    Raises:
        ValueError: there is no image.
    """
    if images < 1:
        raise ValueError("no image to draw")
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        picked = generator.integers(0, images, (rows, images)) + images * np.arange(rows)[:, None]
        counts = np.bincount(picked.ravel(), minlength=rows * images)
        yield counts.reshape(rows, images).astype(np.float64)


def replicates(
    counts: NDArray[Any], statistic: Statistic, *, resamples: int = 2000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the statistic of every resample of the images, ``(resamples,)``.

    The same number of images, resamples and seed give the same draws: arrays of two variants are paired.

    Args:
        counts: ``(N, …)`` non-negative integers, the counts of each image.
        statistic: takes the counts summed over the images drawn.
        resamples: how many.
        seed: of the draws.

    Raises:
        ValueError: there is no image.
    """
    # As floats the counts are exact below 2⁵³ pixels, in whatever order they are summed.
    flat = counts.reshape(len(counts), math.prod(counts.shape[1:])).astype(np.float64)
    parts = [
        statistic((drawn @ flat).reshape(len(drawn), *counts.shape[1:]))
        for drawn in draws(len(counts), resamples, seed)
    ]
    return np.concatenate(parts)


def percentile_interval(values: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the two percentiles that enclose ``confidence`` (in (0, 1)) of the replicates ``(R,)``.

    ``None`` if a replicate is undefined: an interval of the rest would be one of an easier question.
    """
    if not np.isfinite(values).all():
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
