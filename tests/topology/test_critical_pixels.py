"""Critical pixels against all pairs and paths, and on simple windows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from wsss.errors import InvalidInput
from wsss.topology import critical_pixels

Pair = tuple[int, int]


def maximin(values: NDArray[np.float64], allowed: NDArray[np.bool_]) -> dict[Pair, float]:
    """Return for each pair of allowed pixels the largest smallest value of any path (Floyd and Warshall)."""
    columns = values.shape[1]
    flat = values.ravel()
    pixels = [int(p) for p in np.flatnonzero(allowed)]
    best = dict.fromkeys(itertools.product(pixels, pixels), -np.inf)
    for p in pixels:
        best[p, p] = flat[p]
        for q in (p + 1 if (p + 1) % columns else -1, p + columns):
            if (p, q) in best:
                best[p, q] = best[q, p] = min(flat[p], flat[q])
    for middle, p, q in itertools.product(pixels, pixels, pixels):
        best[p, q] = max(best[p, q], min(best[p, middle], best[middle, q]))
    return best


def reference(
    predicted: NDArray[np.float64], true: NDArray[np.float64], margin: float, min_distance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both shares of one window whose predictions all differ, pair by pair."""
    regions = label(true > margin)[0].ravel()
    perfect = np.where(true > margin, 1e9, predicted)
    between, within = np.zeros(true.size), np.zeros(true.size)
    across = maximin(perfect, np.ones(true.shape, bool))
    for p, q in itertools.combinations(range(true.size), 2):
        if regions[p] and regions[q] and regions[p] != regions[q]:
            between[np.flatnonzero(perfect.ravel() == across[p, q])[0]] += 1
    for region in range(1, regions.max() + 1):
        inside = maximin(predicted, (regions == region).reshape(true.shape))
        for p, q in itertools.combinations(np.flatnonzero((regions == region) & (true.ravel() >= min_distance)), 2):
            within[np.flatnonzero(predicted.ravel() == inside[int(p), int(q)])[0]] += 1
    return tuple(one.reshape(true.shape) / max(1, one.sum()) for one in (between, within))


@given(st.integers(0, 10_000), st.integers(2, 7), st.integers(2, 7), st.floats(0.4, 0.9))
@settings(max_examples=40)
def test_every_pair(seed: int, rows: int, columns: int, share: float) -> None:
    random = np.random.default_rng(seed)
    true = distance_transform_edt(random.random((rows, columns)) < share)
    predicted = random.permutation(rows * columns).reshape(rows, columns) / 7.0
    result = critical_pixels(predicted, true, margin=0, min_distance=1.2)
    for one, expected in zip(result, reference(predicted, true, 0, 1.2), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-12)


def test_windows_are_independent() -> None:
    random = np.random.default_rng(3)
    true = distance_transform_edt(random.random((11, 9)) < 0.8)
    predicted = random.random((11, 9))
    whole = critical_pixels(predicted, true, window=4, margin=0, min_distance=1.2)
    for top, left in itertools.product(range(0, 11, 4), range(0, 9, 4)):
        cut = np.s_[top : top + 4, left : left + 4]
        part = critical_pixels(predicted[cut], true[cut], margin=0, min_distance=1.2)
        np.testing.assert_array_equal(whole.between[cut], part.between)
        np.testing.assert_array_equal(whole.within[cut], part.within)


def test_a_gap_in_a_wall_and_a_door_in_a_false_wall() -> None:
    """A wall in the middle with a gap, and a false wall with a door that cuts the left side in two."""
    true = np.abs(np.arange(21) - 12.0)[None].repeat(9, axis=0)
    predicted = true.copy()
    predicted[2, 11:14] = 3  # the gap, on the wall and beside it
    predicted[:, 4] = 0.5
    predicted[6, 4] = 2.5  # the door
    result = critical_pixels(predicted, true, margin=1, min_distance=3)
    assert result.between[2, 11:14].sum() == pytest.approx(1) and result.between[2, 11] == 0  # of equal ones the last
    left, right = 9 * 4, 9 * 5  # pixels on both sides of the false wall, at least 3 from the true one
    pairs = sum(size * (size - 1) / 2 for size in (9 * 10, 9 * 6))
    assert result.within[6, 4] == pytest.approx((left * right + left + right) / pairs)  # those of the door itself, too
    assert result.within.sum() == pytest.approx(1)


@pytest.mark.parametrize("value", [0.0, 50.0])
def test_one_region_or_none(value: float) -> None:
    result = critical_pixels(np.ones((8, 8)), np.full((8, 8), value))
    assert not result.between.any()
    assert result.within.sum() == pytest.approx(float(value > 0))


def test_invalid_arguments() -> None:
    with pytest.raises(InvalidInput):
        critical_pixels(np.ones((3, 4)), np.ones((4, 3)))
    for window in (0, 2.5, "2"):
        with pytest.raises(InvalidInput) as error:
            critical_pixels(np.ones((3, 4)), np.ones((3, 4)), window=window)  # type: ignore[arg-type]
        assert error.value.subject == "window"


def test_lists_and_tensors() -> None:
    true = [[2.0, 1.0, 0.0, 1.0, 2.0]]
    tensor = torch.tensor(true, requires_grad=True)
    for same in (true, np.array(true), tensor, tensor.detach().bfloat16()):
        between = critical_pixels(same, same, margin=0.5, min_distance=2).between
        assert between.tolist() == [[0, 0, 1, 0, 0]]
