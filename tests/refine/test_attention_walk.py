"""The walk on patches against loops over all pairs of patches."""

from __future__ import annotations

import numpy as np
import pytest

from wsss.refine.attention_walk import attention_transition, walk_on_patches


@pytest.mark.parametrize("beta", [1.0, 2.5])
def test_the_transition_equals_a_loop(beta: float) -> None:
    attention = np.random.default_rng(0).random((6, 6)).astype(np.float32)
    expected = np.empty((6, 6))
    for i in range(6):
        powers = [((float(attention[i, j]) + float(attention[j, i])) / 2) ** beta for j in range(6)]
        expected[i] = [power / sum(powers) for power in powers]
    np.testing.assert_allclose(attention_transition(attention, beta), expected, rtol=1e-9)


def test_large_exponents_of_small_attention_leave_a_distribution() -> None:
    attention = np.random.default_rng(0).uniform(1e-6, 1e-5, (50, 50)).astype(np.float32)
    transition = attention_transition(attention, 100.0)
    np.testing.assert_allclose(transition.sum(1), 1)


def test_the_walk_equals_a_loop() -> None:
    """Means over patches of 2×2 elements, two steps, then each element gets the value of its patch."""
    generator = np.random.default_rng(1)
    maps = generator.random((2, 4, 6)).astype(np.float32)
    transition = attention_transition(generator.random((6, 6)), 1.0)
    rows, columns = np.kron(np.eye(2), np.ones((2, 1))), np.kron(np.eye(3), np.ones((2, 1)))
    walked = walk_on_patches(maps, transition, rows, columns, 2)
    for number, class_map in enumerate(maps):
        values = [class_map[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean() for r in range(2) for c in range(3)]
        for _ in range(2):
            values = [sum(transition[i, j] * values[j] for j in range(6)) for i in range(6)]
        for row, column in np.ndindex(4, 6):
            assert walked[number, row, column] == pytest.approx(values[row // 2 * 3 + column // 2], abs=1e-6)


def test_constant_maps_do_not_change_where_patches_overlap() -> None:
    generator = np.random.default_rng(2)
    rows, columns = generator.random((9, 3)), generator.random((11, 4))
    rows, columns = rows / rows.sum(1, keepdims=True), columns / columns.sum(1, keepdims=True)
    transition = attention_transition(generator.random((12, 12)), 2.0)
    constant = np.full((1, 9, 11), 0.4, np.float32)
    np.testing.assert_allclose(walk_on_patches(constant, transition, rows, columns, 5), constant, rtol=1e-6)
