"""The loss of a matching together with its derivatives, in one pass over the intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.topology.compiling import call, kernel
from wsss.topology.results import BettiMatching


class LossSlopes(NamedTuple):
    """`DimensionMatching.loss` and what it depends on in the prediction, ``n`` values of pixels."""

    loss: float
    cells: NDArray[np.int64]
    """``(n,)`` indices into the flattened image; one may occur several times. Values that no pixel has are left out."""
    values: NDArray[np.float64]
    """``(n,)`` the prediction there."""
    slopes: NDArray[np.float64]
    """``(n,)`` the derivatives; those of a pixel that occurs several times have to be added up."""


def loss_slopes(matching: BettiMatching, dimension: int) -> LossSlopes:
    """Return the loss of one dimension, 0 or 1, and its derivatives by the prediction's pixels."""
    pred, gt = (matching.pred.dim1, matching.gt.dim1) if dimension else (matching.pred.dim0, matching.gt.dim0)
    starts, ends = (pred.births, gt.births), (pred.deaths, gt.deaths)
    pairs = matching.pairs[dimension]
    found = LossSlopes(*call(_loss_slopes, "int32", starts, ends, pred.birth_cells, pred.death_cells, pairs))
    if dimension or not matching.essential_matched:
        return found
    mine, other = matching.pred.essential, matching.gt.essential
    birth = mine.births - other.births  # both die at 0
    return LossSlopes(
        found.loss + 2 * float(birth[0] ** 2),
        np.concatenate([found.cells, mine.birth_cells]),
        np.concatenate([found.values, mine.births]),
        np.concatenate([found.slopes, 4 * birth]),
    )


@kernel
def _loss_slopes(births, deaths, birth_cells, death_cells, pairs):
    """Return loss, cells, values and slopes.

    Args:
        births: of the prediction's and of the label's intervals, ``(n,)`` and ``(m,)``; ``deaths`` too.
        birth_cells: ``(n,)`` of the prediction; ``death_cells`` too.
        pairs: ``(k, 2)`` numbers of matched intervals.
    """
    size, others = births[0].size, births[1].size
    partner = np.full(size, -1, np.int64)
    free = np.ones(others, np.bool_)
    for k in range(pairs.shape[0]):
        partner[pairs[k, 0]] = pairs[k, 1]
        free[pairs[k, 1]] = False
    cells, values, slopes = np.empty(2 * size, np.int64), np.empty(2 * size), np.empty(2 * size)
    loss, count = 0.0, 0
    for n in range(size):
        b, d = births[0][n], deaths[0][n]
        if partner[n] < 0:
            by_birth, by_death = 2 * (b - d), 2 * (d - b)
            loss += (b - d) ** 2
        else:
            by_birth, by_death = 4 * (b - births[1][partner[n]]), 4 * (d - deaths[1][partner[n]])
            loss += (by_birth**2 + by_death**2) / 8
        for cell, value, slope in ((birth_cells[n], b, by_birth), (death_cells[n], d, by_death)):
            if cell >= 0:
                cells[count], values[count], slopes[count] = cell, value, slope
                count += 1
    for m in range(others):
        if free[m]:
            loss += (births[1][m] - deaths[1][m]) ** 2
    return loss, cells[:count], values[:count], slopes[:count]
