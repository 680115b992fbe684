"""The loss of a matching and its derivatives, against the matching's own loss and against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wsss.topology import betti_matching, loss_gradient

OPTIONS: list[dict[str, Any]] = [
    {},
    {"frame": "own-max"},
    {"frame": "zero", "essential": "match"},
    {"essential": "match", "filtration": "sublevel"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dimension", [0, 1])
def test_loss_and_differences(options: dict[str, Any], dimension: int) -> None:
    random = np.random.default_rng(0)
    pred = random.permutation(np.linspace(0.1, 0.9, 56)).reshape(7, 8)
    gt = random.random((7, 8)) > 0.4

    def loss(image: np.ndarray) -> float:
        result = betti_matching(image, gt, **options)
        return (result.dim1 if dimension else result.dim0).loss()

    result = loss_gradient(betti_matching(pred, gt, **options), (1 - dimension, dimension))
    assert result.loss == pytest.approx(loss(pred), rel=1e-12)
    assert (result.indices >= 0).all() and np.array_equal(result.values, pred.ravel()[result.indices])
    total = np.bincount(result.indices, result.gradient, minlength=pred.size)
    for cell in range(pred.size):
        moved = pred.copy()
        moved.ravel()[cell] += 1e-6
        assert (loss(moved) - loss(pred)) / 1e-6 == pytest.approx(total[cell], abs=1e-4)


def test_a_perfect_prediction_has_no_gradient() -> None:
    mask = np.random.default_rng(1).random((9, 9)) > 0.5
    result = loss_gradient(betti_matching(mask, mask))
    assert result.loss == 0 and not result.gradient.any()


def test_dimensions_are_weighted() -> None:
    pred, gt = np.random.default_rng(2).random((2, 9, 9))
    matching = betti_matching(pred, gt, essential="match")
    result = loss_gradient(matching, (0.3, 0.7))
    parts = loss_gradient(matching, (1, 0)), loss_gradient(matching, (0, 1))
    assert result.loss == pytest.approx(0.3 * parts[0].loss + 0.7 * parts[1].loss, rel=1e-12)
    total, *by_dimension = (np.bincount(part.indices, part.gradient, minlength=81) for part in (result, *parts))
    np.testing.assert_allclose(total, 0.3 * by_dimension[0] + 0.7 * by_dimension[1], rtol=1e-12)
