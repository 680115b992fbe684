"""Variation of a score over seeds (standard deviation) and over images (bootstrap).

The bootstrap (Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, ch. 13: percentile interval) draws as many
images as there are, with replacement, and computes the score from their summed counts. It measures how a score depends
on the choice of images; the standard deviation over seeds measures how it depends on the training seed.

The draws depend only on the number of images and a seed. Two variants scored on the same images are therefore paired:
the difference of their replicates is the replicate of their difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.io.sparse_counts import SparseCounts

Statistic = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
"""Counts summed over images, ``(R, …)`` → scores ``(R,)``; NaN if undefined."""

CHUNK = 128
"""Draws per block; it bounds memory, and with the seed it determines the draws."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (divisor n − 1, ``None`` for n = 1) of n values."""

    mean: float
    std: float | None
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation.

    Raises:
        ValueError: ``values`` is empty.
    """
    if not values:
        raise ValueError("no value to average")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, None, 1)
    return Spread(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)), len(values))


def draws(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield blocks of draws, ``(r, N)`` counts of each image with row sums N, ``resamples`` rows in total.

    Raises:
        ValueError: no images.
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
    counts: SparseCounts, statistic: Statistic, *, resamples: int = 2000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the statistic of every resample of the images, ``(resamples,)``.

    Replicates of two variants with the same number of images, resamples and seed are paired.

    Args:
        counts: the counts of each image.
        statistic: computes the score from counts summed over the drawn images.
        resamples: number of resamples.
        seed: seed of the draws.

    Raises:
        ValueError: no images.
    """
    # Counts are exact as floats below 2⁵³ pixels, in any order of summation.
    return np.concatenate([statistic(counts.weighted(drawn)) for drawn in draws(len(counts), resamples, seed)])


def percentile_interval(values: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the percentiles that enclose ``confidence`` (in (0, 1)) of the replicates ``(R,)``.

    ``None`` if any replicate is undefined, since an interval of the others would be biased.
    """
    if not np.isfinite(values).all():
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
