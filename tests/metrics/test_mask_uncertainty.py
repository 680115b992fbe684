"""Disagreement, entropy and boundary pixels, compared with hand-computed values and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from wsss.metrics.mask_uncertainty import boundary, disagreement, mean_entropy, mean_map_entropy


def masks(*rows: list[int]) -> list[np.ndarray]:
    return [np.array([row], np.uint8) for row in rows]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[0, 1, 2], [0, 1, 2]], 0),
        ([[0, 1, 2], [1, 2, 0]], 1),
        ([[0, 0], [0, 1]], 0.5),
        ([[0, 255], [0, 1]], 0.5),
        ([[255], [255]], 0),
        ([[0], [0], [1]], 0.5),
        ([[0], [1], [2]], 1),
        ([[0, 0], [0, 1], [0, 1], [0, 2]], (0 + 2 / 3) / 2),
    ],
)
def test_disagreement(rows: list[list[int]], expected: float) -> None:
    assert disagreement(masks(*rows)) == pytest.approx(expected)
    assert disagreement(masks(*rows[::-1])) == pytest.approx(expected)


def test_entropy_equals_that_of_scipy() -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(4), (5, 6)).transpose(2, 0, 1)
    assert mean_entropy(values) == pytest.approx(entropy(values, axis=0, base=4).mean(), rel=1e-5)
    highest = np.random.default_rng(1).random((5, 6)).astype(np.float32)
    assert mean_map_entropy(highest) == pytest.approx(entropy([highest, 1 - highest], base=2).mean(), rel=1e-5)
    assert mean_map_entropy(np.array([[0.0, 1.0]], np.float32)) == 0 and mean_entropy(np.ones((1, 2, 2))) == 0


def test_boundary_pixels_touch_another_value() -> None:
    mask = np.random.default_rng(2).integers(0, 2, (6, 7), dtype=np.uint8)
    expected = np.zeros(mask.shape, bool)
    for row, column in np.ndindex(mask.shape):
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        inside = [place for place in around if 0 <= place[0] < 6 and 0 <= place[1] < 7]
        expected[row, column] = any(mask[place] != mask[row, column] for place in inside)
    assert np.array_equal(boundary(mask), expected)
    assert not boundary(np.zeros((3, 3), np.uint8)).any()
