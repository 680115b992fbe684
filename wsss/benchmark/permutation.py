"""The paired permutation test of TopoMortar's tables, for many paired differences at once.

Two methods are scored on the same pairs (image, seed). If they were equally good, each pair's two scores could as well
be swapped, which turns the sign of its difference. The p-value is the share of random swaps after which the mean
difference is at least as large as the absolute value of the one that was measured: the upper side only, so that p is
about half the two-sided one whichever method is better.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SWAPS = 10_000
CHUNK = 500
"""Swaps made at a time; it bounds memory."""

TIE = 1e-12
"""Sums closer than this share of the sum of absolute differences are the same: they differ by rounding alone."""


def permutation_test(
    differences: NDArray[np.float64],
    *,
    weights: NDArray[np.float64] | None = None,
    swaps: int = SWAPS,
    seed: int = 0,
    two_sided: bool = False,
) -> NDArray[np.float64]:
    """Return the p-value of each column of paired differences.

    All columns see the same swaps, and these depend on nothing but the number of pairs, ``swaps`` and ``seed``: a
    column's p-value does not depend on the columns beside it. Of few pairs, whose 2ᴺ swaps are at most ``swaps``, every
    swap is taken once, and p is exact.

    The authors' program counts swaps with a *greater* difference, which calls any difference significant that has one
    sign throughout (a single pair's, say); here ties count too, as they have to in a test. With hundreds of pairs both
    are the same but for some thousandths.

    Args:
        differences: ``(N, M)`` differences of N pairs, for M comparisons. A pair that a comparison lacks is a 0.
        weights: ``(N,)`` or ``(N, M)``, weight of each pair in the mean; by default all are the same. Only their
            ratios matter.
        swaps: how many swaps are drawn.
        seed: of the draws.
        two_sided: count a mean difference of either sign, not the upper side alone.

    Returns:
        ``(M,)`` p-values in [0, 1]; 1 where all differences are 0.

    Raises:
        ValueError: no pairs, or values that aren't finite.
    """
    if differences.ndim != 2 or not len(differences):
        raise ValueError(f"differences must be (pairs, comparisons) with at least one pair, found {differences.shape}")
    share = np.ones(len(differences)) if weights is None else weights
    shared = differences * (share[:, None] if share.ndim == 1 else share)
    if not np.isfinite(shared).all():
        raise ValueError("differences and weights must be finite")
    least = np.abs(shared.sum(0)) - TIE * np.abs(shared).sum(0)
    above, total = np.zeros(shared.shape[1], np.int64), 0
    for signs in _signs(len(shared), swaps, seed):
        sums = signs @ shared
        above += ((np.abs(sums) if two_sided else sums) >= least).sum(0)
        total += len(signs)
    return above / total


def _signs(pairs: int, swaps: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield rows of ±1, ``(r, pairs)``: every combination of signs if there are at most ``swaps``, else random ones."""
    if pairs < 63 and 2**pairs <= swaps:
        yield 1.0 - 2.0 * (np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1).astype(np.float64)
        return
    generator = np.random.default_rng(seed)
    for start in range(0, swaps, CHUNK):
        rows = min(CHUNK, swaps - start)
        yield 1.0 - 2.0 * generator.integers(0, 2, (rows, pairs), dtype=np.int8).astype(np.float64)
