"""Homotopy warping against Betti numbers of scikit-image and gudhi, and simple points against their definition."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from shareddata import SHARED_DATA, needs_shared_data
from skimage.measure import euler_number, label

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask
from wsss.topology import warp, warping_error_mask
from wsss.topology.warping import simple_points

Mask = NDArray[np.bool_]


def betti(mask: Mask, connectivity: int) -> tuple[int, int]:
    """Components and holes by scikit-image: labelling, and the Euler number."""
    padded = np.pad(mask, 1)
    neighbours = 1 if connectivity == 4 else 2
    components = label(padded, connectivity=neighbours).max()
    return components, components - euler_number(padded, connectivity=neighbours)


def betti_gudhi(mask: Mask) -> tuple[int, int]:
    """Components and holes of a 4-connected foreground by gudhi: pixels as vertices of a cubical complex."""
    complex_ = gudhi.CubicalComplex(vertices=np.where(np.pad(mask, 1), 0.0, 1.0))
    complex_.compute_persistence()
    result = complex_.persistent_betti_numbers(0.5, 0.5)
    return result[0], result[1]


def masks(seed: int, size: tuple[int, int] = (24, 27), smooth: float = 1.0) -> tuple[Mask, Mask]:
    """Two masks that have much in common."""
    random = np.random.default_rng(seed)
    common, *own = (
        gaussian_filter(random.standard_normal(size), smooth) if smooth else random.random(size) - 0.5 for _ in range(3)
    )
    first, second = (common + 0.5 * one > 0 for one in own)
    return first, second


def ring() -> Mask:
    result = np.zeros((12, 13), bool)
    result[2:10, 2:11] = True
    result[4:8, 4:9] = False
    return result


@pytest.mark.parametrize("connectivity", [4, 8])
def test_simple_points_are_those_whose_flip_changes_no_betti_number(connectivity: int) -> None:
    """In a 3 × 3 window alone, which decides (Kong and Rosenfeld): both Betti numbers, of it and of its background."""
    table = simple_points(connectivity)
    places = [(0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0)]
    for code in range(256):
        window = np.zeros((3, 3), bool)
        for k, place in enumerate(places):
            window[place] = code >> k & 1
        filled = window.copy()
        filled[1, 1] = True
        same = betti(window, connectivity) == betti(filled, connectivity)
        # In a window the hole a pixel fills may be open to the outside: then the background splits or not unseen, so
        # look at the background, too, with its own connectivity.
        background = betti(~window, 12 - connectivity) == betti(~filled, 12 - connectivity)
        assert table[code] == (same and background), f"{code:08b}"


@given(st.integers(0, 100_000), st.sampled_from([4, 8]), st.sampled_from([0.0, 1.0, 2.0]))
@settings(max_examples=80)
def test_warping_never_changes_betti_numbers(seed: int, connectivity: int, smooth: float) -> None:
    source, target = masks(seed, smooth=smooth)
    warped = warp(source, target, connectivity=connectivity)
    assert betti(warped, connectivity) == betti(source, connectivity)
    if connectivity == 4:
        assert betti_gudhi(warped) == betti_gudhi(source)
    assert not ((warped != source) & (source == target)).any(), "flipped only where they differ"


@given(st.integers(0, 100_000), st.sampled_from([4, 8]), st.sampled_from([0.0, 1.0]))
@settings(max_examples=40)
def test_no_remaining_pixel_is_simple(seed: int, connectivity: int, smooth: float) -> None:
    source, target = masks(seed, size=(16, 15), smooth=smooth)
    warped = warp(source, target, connectivity=connectivity)
    for place in np.argwhere(warped != target):
        flipped = np.pad(warped, 1)
        around = flipped[place[0] : place[0] + 3, place[1] : place[1] + 3].copy()
        around[1, 1] = ~around[1, 1]
        before = flipped[place[0] : place[0] + 3, place[1] : place[1] + 3]
        same = betti(before, connectivity) == betti(around, connectivity)
        assert not (same and betti(~before, 12 - connectivity) == betti(~around, 12 - connectivity))


@given(st.integers(0, 100_000), st.sampled_from([4, 8]), st.integers(1, 30))
@settings(max_examples=60)
def test_simple_flips_are_undone(seed: int, connectivity: int, flips: int) -> None:
    """Masks that differ by isolated simple flips have the same topology."""
    random = np.random.default_rng(seed)
    source = masks(seed)[0]
    target, table = source.copy(), simple_points(connectivity)
    around = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    touched = np.zeros(source.shape, bool)
    for _ in range(flips):
        row, column = (int(random.integers(1, side - 1)) for side in source.shape)
        if touched[row - 1 : row + 2, column - 1 : column + 2].any():
            continue
        code = sum(int(target[row + y, column + x]) << k for k, (y, x) in enumerate(around))
        if table[code]:
            target[row, column] = ~target[row, column]
            touched[row, column] = True
    assert not warping_error_mask(source, target, connectivity=connectivity).any()


@given(st.integers(0, 100_000), st.sampled_from([4, 8]))
@settings(max_examples=60)
def test_different_betti_numbers_leave_pixels(seed: int, connectivity: int) -> None:
    first, second = masks(seed)
    result = warping_error_mask(first, second, connectivity=connectivity)
    assert not (result & (first == second)).any()
    np.testing.assert_array_equal(result, warping_error_mask(second, first, connectivity=connectivity))
    if betti(first, connectivity) != betti(second, connectivity):
        assert result.any()


def test_gaps_specks_and_holes_are_critical_and_shifted_borders_are_not() -> None:
    whole = ring()
    broken = whole.copy()
    broken[5:7, 2:4] = False  # a gap of four pixels: a line of two has to go to close it
    result = warping_error_mask(broken, whole)
    assert 0 < result.sum() <= 4 and not result[:, 5:].any() and result[5:7, 2:4].any()

    speck = whole.copy()
    speck[0, 12] = True
    assert np.argwhere(warping_error_mask(speck, whole)).tolist() == [[0, 12]]
    filled = whole.copy()
    filled[4:8, 4:9] = True
    assert warping_error_mask(filled, whole)[4:8, 4:9].any()
    pricked = filled.copy()
    pricked[2, 2] = pricked[5, 6] = False
    assert np.argwhere(warping_error_mask(pricked, filled)).tolist() == [[5, 6]], "a corner isn't critical, a hole is"

    for connectivity in (4, 8):
        assert not warping_error_mask(np.roll(whole, 1, 1), whole, connectivity=connectivity).any()


def test_connectivity_decides_what_a_diagonal_is() -> None:
    diagonal = np.eye(6, dtype=bool)
    bridged = diagonal.copy()
    for k in range(5):
        bridged[k, k + 1] = True
    assert not warping_error_mask(diagonal, bridged, connectivity=8).any()
    assert warping_error_mask(diagonal, bridged, connectivity=4).any()


@pytest.mark.parametrize("first", [np.zeros((5, 6)), np.ones((5, 6))])
@pytest.mark.parametrize("second", [np.zeros((5, 6)), np.ones((5, 6))])
def test_empty_and_full_masks(first: np.ndarray, second: np.ndarray) -> None:
    result = warping_error_mask(first, second)
    assert bool(result.any()) == bool((first != second).any())


def test_a_pixel_and_a_pinhole_are_not_simple() -> None:
    """The published code flips a pixel whose 3 × 3 window has one component of each value, and so loses both."""
    dot = np.zeros((5, 5), bool)
    dot[2, 2] = True
    assert warp(dot, np.zeros((5, 5)))[2, 2] and not warp(~dot, np.ones((5, 5)))[2, 2]


def test_a_long_line_is_shortened_from_its_ends() -> None:
    """Only the ends of a line are simple: the queue has to follow it, against any order of distances."""
    spiral = np.zeros((40, 40), bool)
    row, column, step = 0, 0, (0, 1)
    side = 39
    for turn in range(30):
        for _ in range(side):
            spiral[row, column] = True
            row, column = row + step[0], column + step[1]
        step = (step[1], -step[0])
        side -= 2 if turn % 2 else 0
        if side <= 2:
            break
    start = np.zeros_like(spiral)
    start[0, 0] = True
    assert spiral.sum() > 500 and betti(spiral, 8) == (1, 0)
    assert not warping_error_mask(spiral, start, connectivity=8).any()


def test_invalid_arguments() -> None:
    with pytest.raises(InvalidInput):
        warp(np.zeros((3, 3)), np.zeros((3, 4)))
    with pytest.raises(InvalidInput):
        warping_error_mask(np.zeros((3, 3)), np.ones((3, 3)), connectivity=6)


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize("kind", ["noisy", "pseudo"])
def test_labels_of_real_walls(kind: str) -> None:
    """Warping other labels to the accurate one and back keeps their topology and removes most differences."""
    folder = SHARED_DATA / "topomortar" / "dataset" / "train"
    for file in sorted((folder / kind).glob("*.png"))[:2]:
        source, target = read_mask(file) > 0, read_mask(folder / "accurate" / file.name) > 0
        for connectivity in (4, 8):
            for first, second in ((source, target), (target, source)):
                assert betti(warp(first, second, connectivity=connectivity), connectivity) == betti(first, connectivity)
            left = warping_error_mask(source, target, connectivity=connectivity)
            assert left.sum() < 0.25 * (source != target).sum()
            assert left.any() or betti(source, connectivity) == betti(target, connectivity)
        assert betti_gudhi(warp(source, target)) == betti_gudhi(source)
