"""Counts as non-zero cells, against dense arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsss.io.sparse_counts import SparseCounts

SHAPES = st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(1, 4))
STACKS = SHAPES.flatmap(lambda shape: arrays(np.int64, shape, elements=st.sampled_from([0, 0, 0, 1, 7, 10**12])))


@given(STACKS, st.integers(0, 9))
def test_equal_to_dense_counts(stack: np.ndarray, seed: int) -> None:
    counts = SparseCounts.of(stack.shape[1:], stack)
    assert len(counts) == len(stack) and (counts.pixels > 0).all()
    np.testing.assert_array_equal(counts.dense(), stack)
    np.testing.assert_array_equal(counts.total(), stack.sum(0))
    weights = np.random.default_rng(seed).integers(0, 4, (6, len(stack))).astype(np.float64)
    weighted = counts.weighted(weights)
    np.testing.assert_array_equal(weighted, np.einsum("rn,nij->rij", weights, stack))
    assert weighted.flags.c_contiguous


def test_memory_is_that_of_the_non_zero_cells() -> None:
    counts = SparseCounts.of((200, 3, 81), (np.eye(1, 200 * 3 * 81, number, int) for number in range(50)))
    assert sum(part.nbytes for part in (counts.offsets, counts.cells, counts.pixels)) == 51 * 8 + 50 * 4 + 50 * 4
