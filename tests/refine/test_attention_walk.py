"""The walk on patches against loops over all pairs of patches."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from wsss.refine.attention_walk import (
    attention_transition,
    class_aware_walk,
    doubly_stochastic,
    in_boxes,
    walk_on_patches,
)


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


def oracle_boxes(scores: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Flood fill from every high score, and the smallest and largest row and column that it reaches."""
    high = {(int(r), int(c)) for r, c in np.argwhere(scores > threshold * scores.max())}
    inside = np.zeros(scores.shape, np.bool_)
    while high:
        region, front = set(), [high.pop()]
        while front:
            row, column = front.pop()
            region.add((row, column))
            near = {(row + dr, column + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)} & high
            high -= near
            front += near
        rows, columns = zip(*region, strict=True)
        inside[min(rows) : max(rows) + 1, min(columns) : max(columns) + 1] = True
    return inside


def test_the_class_aware_walk_equals_loops() -> None:
    generator = np.random.default_rng(3)
    maps = (generator.random((3, 5, 7)) ** 6).astype(np.float32)
    maps[2] = 0
    matrix = generator.random((35, 35)) ** 3
    walked = class_aware_walk(maps, matrix.astype(np.float32), rounds=3, steps=2, box_threshold=0.4)
    matrix = matrix.astype(np.float32).astype(np.float64)
    for _ in range(3):
        for j in range(35):
            matrix[:, j] /= sum(matrix[i, j] for i in range(35))
        for i in range(35):
            matrix[i] /= sum(matrix[i, j] for j in range(35))
    symmetric = np.array([[(matrix[i, j] + matrix[j, i]) / 2 for j in range(35)] for i in range(35)])
    squared = symmetric @ symmetric
    for class_map, result in zip(maps, walked, strict=True):
        masked = squared * oracle_boxes(class_map, 0.4).reshape(1, 35)
        np.testing.assert_allclose(result, (masked @ class_map.reshape(35, 1)).reshape(5, 7), atol=1e-6)
    assert not walked[2].any()
    boxes = in_boxes(maps, 0.4)
    assert 0 < boxes[0].sum() < 35 and not boxes[2].any()


def test_sinkhorn_makes_columns_and_rows_sum_to_one() -> None:
    attention = np.random.default_rng(4).random((20, 20)).astype(np.float32)
    attention[:, 3] = 0  # a patch that no other attends to
    matrix = doubly_stochastic(attention, 50)
    np.testing.assert_allclose(matrix.sum(1), 1)
    np.testing.assert_allclose(doubly_stochastic(attention[:3, :3] + 0.1, 50).sum(0), 1, atol=1e-6)
