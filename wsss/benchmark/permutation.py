"""The paired permutation test of TopoMortar's tables, for many comparisons at once.

Two methods are scored on the same pairs (image, seed). Under the null hypothesis the two scores of a pair are
exchangeable, so the sign of their difference is random. The p-value is the fraction of random sign flips for which the
mean difference is at least the absolute value of the observed one: the upper tail only, as in the authors' program, and
therefore about half of the two-sided p-value, whichever method is better.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERMUTATIONS = 10_000
CHUNK = 500
"""Sign flips per batch; bounds memory."""

TIE = 1e-12
"""Relative tolerance, in units of the sum of absolute differences, within which two sums count as equal."""


def permutation_test(
    differences: NDArray[np.float64],
    *,
    weights: NDArray[np.float64] | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    two_sided: bool = False,
) -> NDArray[np.float64]:
    """Return the p-value of each column of paired differences.

    All columns share the same sign flips, which depend only on the number of pairs, ``permutations`` and ``seed``: a
    column's p-value does not depend on the other columns. With at most ``permutations`` combinations (2ᴺ), all are
    enumerated and the p-value is exact.

    Ties count as extreme. The authors' program counts only *greater* differences, which makes any difference of
    constant sign significant, even that of a single pair; with hundreds of pairs the two rules differ by a few
    thousandths.

    Args:
        differences: ``(N, M)`` differences of N pairs in M comparisons; 0 where a comparison lacks a pair.
        weights: ``(N,)`` or ``(N, M)``, relative weight of each pair in the mean; equal by default.
        permutations: number of random sign flips.
        seed: random seed of the sign flips.
        two_sided: count extreme differences of either sign.

    Returns:
        ``(M,)`` p-values in [0, 1]; 1 where all differences are 0.

    Raises:
        ValueError: there are no pairs, or a value is not finite.
    """
    if differences.ndim != 2 or not len(differences):
        raise ValueError(f"differences: expected shape (pairs, comparisons) with pairs > 0, got {differences.shape}")
    share = np.ones(len(differences)) if weights is None else weights
    weighted = differences * (share[:, None] if share.ndim == 1 else share)
    if not np.isfinite(weighted).all():
        raise ValueError("differences and weights must be finite")
    threshold = np.abs(weighted.sum(0)) - TIE * np.abs(weighted).sum(0)
    extreme, total = np.zeros(weighted.shape[1], np.int64), 0
    for signs in _signs(len(weighted), permutations, seed):
        sums = signs @ weighted
        extreme += ((np.abs(sums) if two_sided else sums) >= threshold).sum(0)
        total += len(signs)
    return extreme / total


def _signs(pairs: int, permutations: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield rows of ±1, ``(r, pairs)``: all combinations of signs if at most ``permutations``, else random ones."""
    if pairs < 63 and 2**pairs <= permutations:
        yield 1.0 - 2.0 * (np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1).astype(np.float64)
        return
    generator = np.random.default_rng(seed)
    for start in range(0, permutations, CHUNK):
        rows = min(CHUNK, permutations - start)
        yield 1.0 - 2.0 * generator.integers(0, 2, (rows, pairs), dtype=np.int8).astype(np.float64)
