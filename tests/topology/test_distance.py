"""Distances against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from wsss.errors import InvalidInput
from wsss.topology import distance_transform


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.02, 0.3, 0.7, 0.95, 0.999]))
@settings(max_examples=150)
def test_distances_are_scipys(seed: int, rows: int, columns: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < share
    mask[seed % rows, seed % columns] = False
    result = distance_transform(mask)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, distance_transform_edt(mask), rtol=1e-6)


@pytest.mark.parametrize("place", [(0, 0), (199, 320), (100, 3)])
def test_a_single_pixel_of_background_far_away(place: tuple[int, int]) -> None:
    mask = np.ones((200, 321), bool)
    mask[place] = False
    rows, columns = np.indices(mask.shape)
    np.testing.assert_allclose(distance_transform(mask), np.hypot(rows - place[0], columns - place[1]), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (4, 7), (9, 9)])
def test_masks_without_background(shape: tuple[int, int]) -> None:
    expected = distance_transform_edt(np.pad(np.ones(shape), 1))[1:-1, 1:-1]
    np.testing.assert_array_equal(distance_transform(np.ones(shape)), expected)


def test_masks_may_be_integers_and_need_not_be_contiguous() -> None:
    mask = (np.random.default_rng(0).random((12, 14)) < 0.8) * 255
    np.testing.assert_allclose(distance_transform(mask.T[::2]), distance_transform_edt(mask.T[::2]), rtol=1e-6)
    assert not distance_transform(np.zeros((3, 4))).any()


@pytest.mark.parametrize("wrong", [np.zeros(4), np.zeros((0, 3)), np.full((2, 2), 0.5)])
def test_invalid_masks(wrong: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        distance_transform(wrong)
