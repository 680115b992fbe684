"""The sparse walk against dense matrices built by loops."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsss.refine.fixed_affinities import cosine_affinities, vector_affinities
from wsss.refine.pixel_pairs import first_and_second, steps
from wsss.refine.random_walk import affinities_along_paths, clip_peaks, transition_matrix, walk

Floats = NDArray[np.floating[Any]]


def on_path(cell: tuple[int, int], one: tuple[int, int], other: tuple[int, int]) -> bool:
    """IRN's ``PathIndex``: inside the bounding box, and at a distance below 1 from the line through both ends."""
    boxed = all(min(a, b) <= x <= max(a, b) for x, a, b in zip(cell, one, other, strict=True))
    (down, right), (y, x) = np.subtract(other, one), np.subtract(cell, one)
    return boxed and abs(down * x - right * y) / math.hypot(down, right) < 1 - 1e-9


def dense_transition(boundary: Floats, radius: int, beta: float) -> Floats:
    cells = list(np.ndindex(*boundary.shape))
    affinity = np.eye(len(cells))
    for i, one in enumerate(cells):
        for j, other in enumerate(cells):
            if i != j and math.dist(one, other) < radius:
                affinity[i, j] = 1 - max(boundary[cell] for cell in cells if on_path(cell, one, other))
    powers = affinity**beta
    return np.asarray(powers / powers.sum(1, keepdims=True))


def sparse_transition(boundary: Floats, radius: int, beta: float) -> Any:
    pairs = affinities_along_paths(boundary.astype(np.float32), radius)
    return transition_matrix(pairs, (boundary.shape[0], boundary.shape[1]), radius=radius, beta=beta)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(2, 5), st.integers(0, 6), st.integers(0, 99))
def test_the_walk_equals_a_power_of_the_dense_matrix(h: int, w: int, radius: int, power: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    boundary = generator.random((h, w)).astype(np.float32)
    maps = generator.random((2, h, w)).astype(np.float32)
    dense = np.linalg.matrix_power(dense_transition(boundary.astype(np.float64), radius, 4.0), 2**power)
    expected = (dense @ maps.reshape(2, -1).T.astype(np.float64)).T.reshape(maps.shape)
    walked = walk(maps, sparse_transition(boundary, radius, 4.0), 2**power)
    np.testing.assert_allclose(walked, expected, atol=1e-6)


def test_colour_affinities_equal_a_loop() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.random((4, 6, 3)).astype(np.float32)
    affinities = vector_affinities(vectors, 3, 0.5)
    matrix = transition_matrix(affinities.pairs, (4, 6), radius=3, beta=2.0).toarray()
    cells = list(np.ndindex(4, 6))
    expected = np.array(
        [
            [
                math.exp(-2 * ((vectors[cell] - vectors[other]) ** 2).sum() / 0.5) if math.dist(cell, other) < 3 else 0
                for other in cells
            ]
            for cell in cells
        ]
    )
    np.testing.assert_allclose(matrix, expected / expected.sum(1, keepdims=True), rtol=1e-5)
    lowest = min(
        math.exp(-((vectors[1, 2] - vectors[near]) ** 2).sum() / 0.5) for near in [(0, 2), (2, 2), (1, 1), (1, 3)]
    )
    assert affinities.boundary[1, 2] == pytest.approx(1 - lowest, abs=1e-6)


def test_a_closed_boundary_stops_the_walk() -> None:
    boundary = np.zeros((12, 12), np.float32)
    boundary[:, 6] = 1
    maps = np.zeros((1, 12, 12), np.float32)
    maps[0, 5, 2] = 1
    walked = walk(maps, sparse_transition(boundary, 5, 10.0), 4096)[0]
    assert (walked[:, 6:] == 0).all()
    np.testing.assert_allclose(walked[:, :6], walked[0, 0], rtol=0.35)  # nearly stationary: proportional to degrees
    assert (walked[:, :6] > 0).all()


def test_constant_maps_do_not_change() -> None:
    boundary = np.random.default_rng(1).random((9, 5))
    constant = np.full((1, 9, 5), 0.3, np.float32)
    np.testing.assert_allclose(walk(constant, sparse_transition(boundary, 5, 10.0), 256), constant, rtol=1e-6)


def test_every_pair_is_listed_once() -> None:
    result = steps(5)
    assert len(result) == 34
    offsets = {step.offset for step in result}
    assert len(offsets) == 34 and not any((-down, -right) in offsets for down, right in offsets)
    for step in result:
        assert {(0, 0), step.offset} <= set(step.path)
        first, second = first_and_second((2, 3), step.offset)
        assert np.zeros((2, 3))[first].shape == np.zeros((2, 3))[second].shape


def test_cosine_affinities_equal_a_loop() -> None:
    vectors = np.random.default_rng(2).normal(size=(4, 6, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    matrix = transition_matrix(cosine_affinities(vectors, 3).pairs, (4, 6), radius=3, beta=2.0).toarray()
    cells = list(np.ndindex(4, 6))
    expected = np.zeros((24, 24))
    for i, one in enumerate(cells):
        for j, other in enumerate(cells):
            if math.dist(one, other) < 3:
                product = sum(float(a) * float(b) for a, b in zip(vectors[one], vectors[other], strict=True))
                expected[i, j] = max(0.0, product) ** 2
    np.testing.assert_allclose(matrix, expected / expected.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)
    assert (expected[np.eye(24) == 0] > 0).any(), "some features are similar"
    lowest = min(max(0.0, float(vectors[1, 2] @ vectors[near])) for near in [(0, 2), (2, 2), (1, 1), (1, 3)])
    assert cosine_affinities(vectors, 3).boundary[1, 2] == pytest.approx(1 - lowest, abs=1e-6)


def test_memory_of_features_is_that_of_the_pairs() -> None:
    """No matrix of all elements, and no copy of the features per pair."""
    peaks = []
    for side in (32, 64):
        vectors = np.ones((side, side, 64), np.float32) / 8
        tracemalloc.start()
        cosine_affinities(vectors, 5)
        peaks.append(tracemalloc.get_traced_memory()[1] / side**2)
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert max(peaks) < 4 * (34 + 5), "one float per pair; the copy of the features alone would take 256 bytes"


def test_memory_grows_with_the_number_of_elements() -> None:
    peaks = []
    for side in (32, 64):
        boundary, maps = np.full((side, side), 0.1, np.float32), np.ones((1, side, side), np.float32)
        tracemalloc.start()
        walk(maps, sparse_transition(boundary, 5, 10.0), 2)
        peaks.append(tracemalloc.get_traced_memory()[1] / side**2)
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert max(peaks) < 60 * 69  # bytes per element, as `propagate` estimates


def test_an_enclosed_peak_does_not_determine_the_scale() -> None:
    """An object of which one small part has a boundary around it, as an eye; values by hand."""
    seeds = np.zeros((1, 20, 20), np.float32)
    seeds[0, 5:15, 5:15] = 0.4
    seeds[0, 8:10, 8:10] = 1.0
    walked = np.full((1, 20, 20), 0.05, np.float32)
    walked[0, 5:15, 5:15] = 0.2
    walked[0, 8:10, 8:10] = 1.0
    clipped = clip_peaks(walked, seeds, 0.9)
    assert clipped[0, 8:10, 8:10] == pytest.approx(0.2), "4 of 100 elements are the peak"
    assert np.array_equal(np.where(walked > 0.5, 0.2, walked).astype(np.float32), clipped)
    assert clip_peaks(walked, seeds, 1) is walked
    few = seeds * (seeds > 0.5)  # the object is no larger than the peak: nothing is clipped
    assert np.array_equal(clip_peaks(walked, few, 0.9), walked)
    assert not clip_peaks(np.zeros_like(walked), seeds, 0.9).any()
