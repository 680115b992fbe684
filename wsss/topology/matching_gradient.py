"""The loss of a matching and its derivatives, in one pass over the intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.topology.compiling import call, kernel
from wsss.topology.results import BettiMatching


class LossGradient(NamedTuple):
    """A weighted sum of `DimensionMatching.loss`, and its derivatives at ``n`` pixels of the prediction.

    Example:
        >>> from wsss.topology import betti_matching, loss_gradient
        >>> part = loss_gradient(betti_matching([[0.9, 0.2, 0.6]], [[1, 1, 1]]))
        >>> part.indices.tolist(), part.gradient.round(2).tolist()
        ([2, 1], [0.8, -0.8])
    """

    loss: float
    indices: NDArray[np.int64]
    """``(n,)`` indices into the flattened image, possibly repeated. Values without a pixel are left out."""
    values: NDArray[np.float64]
    """``(n,)`` values of the prediction at these pixels."""
    gradient: NDArray[np.float64]
    """``(n,)`` derivatives; those of repeated pixels add up."""


def loss_gradient(matching: BettiMatching, weights: tuple[float, float] = (1, 1)) -> LossGradient:
    """Return ``weights[0] · dim0.loss() + weights[1] · dim1.loss()`` and its derivatives at the prediction's pixels.

    Args:
        matching: a result of `betti_matching`.
        weights: weights of components and holes.

    Example:
        >>> from wsss.topology import betti_matching, loss_gradient
        >>> round(loss_gradient(betti_matching([[0.9, 0.2, 0.6]], [[1, 1, 1]]), weights=(0.5, 1)).loss, 2)
        0.08
    """
    pred, gt = matching.pred, matching.gt
    options = (float(weights[0]), float(weights[1]), matching.essential_matched)
    own, other = (pred.values, pred.components, pred.indices), (gt.values, gt.components)
    return LossGradient(*call(_loss_gradient, "int32", *own, *other, *matching.pairs, *options))


@kernel
def _loss_gradient(values, n0, indices, other_values, other_n0, pairs0, pairs1, weight0, weight1, essential):
    """Return loss, indices, values and gradient.

    Args:
        values: those of the prediction's barcode, ``n0`` of whose intervals are components; ``other_…``: the label's.
        indices: those of the prediction's barcode.
        pairs0: ``(k, 2)`` indices of matched intervals of dimension 0; ``pairs1`` of dimension 1.
        weight0: factor of dimension 0; ``weight1`` of dimension 1.
        essential: whether the essential classes are matched, with deaths at 0.
    """
    by = np.zeros(values.size)
    loss = 0.0
    if weight0 != 0:
        births, deaths = values[:n0], values[n0 : 2 * n0]
        other_births, other_deaths = other_values[:other_n0], other_values[other_n0 : 2 * other_n0]
        loss += weight0 * _dimension(births, deaths, other_births, other_deaths, pairs0, by[:n0], by[n0 : 2 * n0])
        by[: 2 * n0] *= weight0
        if essential:
            by[-1] = 4 * weight0 * (values[-1] - other_values[-1])
            loss += 2 * weight0 * (values[-1] - other_values[-1]) ** 2
    if weight1 != 0:
        births, deaths = _halves(values[2 * n0 : -1])
        other_births, other_deaths = _halves(other_values[2 * other_n0 : -1])
        by_births, by_deaths = _halves(by[2 * n0 : -1])
        loss += weight1 * _dimension(births, deaths, other_births, other_deaths, pairs1, by_births, by_deaths)
        by[2 * n0 : -1] *= weight1
    kept = (by != 0) & (indices >= 0)
    return loss, indices[kept], values[kept], by[kept]


@kernel
def _halves(values):
    return values[: values.size // 2], values[values.size // 2 :]


@kernel
def _dimension(births, deaths, other_births, other_deaths, pairs, by_births, by_deaths):
    """Return the loss of one dimension; write its derivatives by the prediction's births and deaths."""
    partner = np.full(births.size, -1, np.int64)
    free = np.ones(other_births.size, np.bool_)
    for k in range(pairs.shape[0]):
        partner[pairs[k, 0]] = pairs[k, 1]
        free[pairs[k, 1]] = False
    loss = 0.0
    for n in range(births.size):
        b, d = births[n], deaths[n]
        if partner[n] < 0:
            by_births[n], by_deaths[n] = 2 * (b - d), 2 * (d - b)
            loss += (b - d) ** 2
        else:
            by_births[n], by_deaths[n] = 4 * (b - other_births[partner[n]]), 4 * (d - other_deaths[partner[n]])
            loss += (by_births[n] ** 2 + by_deaths[n] ** 2) / 8
    for m in range(free.size):
        if free[m]:
            loss += (other_births[m] - other_deaths[m]) ** 2
    return loss
