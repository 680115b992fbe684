"""Pieces of a wall: guarantees of `tidy`, and Betti numbers by construction against the topological algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsss.data.synthetic.walls.pieces import betti_numbers_of, tidy
from wsss.topology import betti_numbers


def blobs(seed: int, shape: tuple[int, int], count: int, sigma: float) -> np.ndarray:
    """Return random, ragged regions with random numbers."""
    rng = np.random.default_rng(seed)
    fields = np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), sigma) for _ in range(count)])
    return np.where(fields.max(axis=0) > 0.6 * fields.std(), 1 + fields.argmax(axis=0), 0).astype(np.int32)


@settings(max_examples=150)
@given(
    st.integers(0, 10**6),
    st.integers(3, 40),
    st.integers(3, 40),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.7, 1.5, 3]),
)
def test_betti_numbers_of_random_pieces(seed: int, height: int, width: int, count: int, sigma: float) -> None:
    pieces = tidy(blobs(seed, (height, width), count, sigma), min_area=1 + seed % 7)
    if not pieces.all():
        assert betti_numbers_of(pieces) == tuple(betti_numbers(pieces == 0))
    for number in np.unique(pieces[pieces > 0]):
        own = pieces == number
        assert tuple(betti_numbers(own, connectivity=4)) == (1, 0)  # simply connected
        neighbours = ndimage.binary_dilation(own) & ~own
        assert not pieces[neighbours].any()  # surrounded by mortar


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([0.7, 2.0]))
def test_tidy_is_idempotent(seed: int, sigma: float) -> None:
    pieces = tidy(blobs(seed, (30, 30), 4, sigma))
    assert np.array_equal(tidy(pieces), pieces)


def test_tidy_pieces_are_unchanged() -> None:
    pieces = np.zeros((20, 30), np.int32)
    pieces[:6, 2:12], pieces[:6, 14:30], pieces[8:14, 0:8], pieces[8:14, 10:25] = 4, 1, 9, 2
    pieces[16:, :] = 3  # the whole lower border
    assert np.array_equal(tidy(pieces), pieces)
    assert betti_numbers_of(pieces) == (1, 1)  # only brick 2 does not touch the border


def test_pieces_across_the_image_separate_mortar() -> None:
    pieces = np.zeros((12, 12), np.int32)
    pieces[5:7, :] = 1  # a beam from left to right
    assert betti_numbers_of(pieces) == (2, 0)
    pieces[:, 5:7] = 1  # and one from top to bottom
    assert betti_numbers_of(pieces) == (4, 0)
    assert betti_numbers_of(np.zeros((5, 5), np.int32)) == (1, 0)
    with pytest.raises(ValueError, match="no mortar"):
        betti_numbers_of(np.ones((5, 5), np.int32))


def test_tidy() -> None:
    pieces = np.zeros((14, 14), np.int32)
    pieces[1:6, 1:6], pieces[1:6, 6:11] = 1, 2  # 4-adjacent: pixels of the higher number become mortar
    pieces[3, 3] = 0  # a hole
    pieces[12, 12] = 3  # a speck
    pieces[9:14, 1:8] = 4
    pieces[13, 4] = 0  # a remnant at the border
    pieces[9, 12] = 4  # separate from the rest of its piece
    tidied = tidy(pieces, min_area=2)
    assert tidied[3, 3] == 1 and tidied[13, 4] == 4 and tidied[12, 12] == tidied[9, 12] == 0
    assert (tidied[1:6, 6] == 0).all() and (tidied[1:6, 7:11] == 2).all()
