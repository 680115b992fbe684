"""Outlines of regions: exact, simple, and simplified within the tolerance."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label
from scipy.spatial.distance import cdist
from skimage.draw import disk
from skimage.measure import approximate_polygon, points_in_poly

from wsss.export.outlines import _needed, area, fill, outlines, simplified, touching

Mask = NDArray[np.bool_]
masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9))


def regions(mask: Mask) -> list[Mask]:
    labels, count = label(mask)
    return [labels == number for number in range(1, count + 1)]


@given(masks)
@settings(max_examples=60)
def test_outlines_are_simple_and_enclose_the_region(mask: Mask) -> None:
    for region in regions(mask):
        rings = outlines(region)
        assert area(rings[0]) > 0 and all(area(ring) < 0 for ring in rings[1:])
        assert sum(map(area, rings)) == region.sum()
        assert area(rings[0]) == binary_fill_holes(region).sum() or len(rings) > 1
        for ring in rings:
            assert len(np.unique(ring, axis=0)) == len(ring)  # it does not touch itself
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps == 0).sum(1) == 1).all()
            assert (np.sign(steps) != np.sign(np.roll(steps, 1, axis=0))).any(1).all()  # it turns at every corner
        assert len(rings) == label(~np.pad(region, 1))[1]  # one per 4-connected part of the outside
        assert np.array_equal(_by_points(rings, region.shape), region)
        assert np.array_equal(fill([ring.astype(float) for ring in rings], region.shape), region)


def _by_points(rings: list[NDArray[np.int64]], size: tuple[int, ...]) -> Mask:
    rows, columns = np.mgrid[: size[0], : size[1]]
    points = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = [points_in_poly(points, ring.astype(float)).reshape(size) for ring in rings]
    return inside[0] & ~np.any(inside[1:], axis=0) if len(inside) > 1 else inside[0]


def _blob(radius: int) -> Mask:
    mask = np.zeros((2 * radius + 9, 2 * radius + 9), bool)
    mask[disk((radius + 4, radius + 4), radius)] = True
    mask[disk((radius + 2, radius + 6), radius // 3)] = False
    return mask


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.0])
def test_simplified_outlines_stay_within_the_tolerance(tolerance: float) -> None:
    region = _blob(30)
    rings = outlines(region)
    simple = simplified(rings, tolerance)
    assert len(simple) == len(rings) == 2
    assert sum(map(len, simple)) < sum(map(len, rings)) / (2 if tolerance >= 1 else 1.5)
    pixels = fill(simple, region.shape)
    assert (pixels & region).sum() >= 0.99 * (pixels | region).sum()
    assert abs(sum(map(area, simple)) - region.sum()) <= 0.01 * region.sum()
    assert [area(ring) > 0 for ring in simple] == [True, False]
    assert not touching(simple)
    for exact, short in zip(rings, simple, strict=True):
        steps = np.linspace(0, 1, 400)[:, None]
        closed = np.concatenate([short, short[:1]])
        line = np.concatenate([start + steps * (end - start) for start, end in pairwise(closed)])
        assert cdist(exact, line).min(1).max() <= tolerance + 0.02


@given(masks)
@settings(max_examples=40)
def test_overlap_and_area_of_any_region_are_preserved(mask: Mask) -> None:
    for region in regions(mask):
        rings = outlines(region)
        simple = simplified(rings, 3.0)
        pixels = fill(simple, region.shape)
        assert (pixels & region).sum() >= 0.99 * (pixels | region).sum()
        assert abs(sum(map(area, simple)) - region.sum()) <= 0.01 * region.sum() + 1e-9
        exact = all(np.array_equal(one, other) for one, other in zip(simple, rings, strict=True))
        assert exact or not touching(simple)


@pytest.mark.parametrize("tolerance", [0.15, 0.4, 0.8, 2.0])
def test_the_points_kept_are_those_of_douglas_and_peucker(tolerance: float) -> None:
    """scikit-image, the reference, simplifies open lines: closed lines are cut at the two points always kept."""
    generator = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    for _ in range(5):
        radii = 20 + generator.normal(0, 0.6, 200)
        ring = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        needed = _needed(ring)
        first, far = np.flatnonzero(np.isinf(needed))
        there = approximate_polygon(ring[first : far + 1], tolerance)
        back = approximate_polygon(np.concatenate([ring[far:], ring[: first + 1]]), tolerance)
        expected = np.unique(np.concatenate([there, back]), axis=0)
        assert np.array_equal(np.unique(ring[needed > tolerance], axis=0), expected)


def test_without_tolerance_nothing_changes() -> None:
    rings = outlines(_blob(9))
    assert all(np.array_equal(one, other) for one, other in zip(simplified(rings, 0), rings, strict=True))


def test_crossing_and_touching_edges_are_detected() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    assert not touching([square])
    assert not touching([square, square / 4 + 1])
    assert touching([square, square + 2])
    assert touching([square, square / 4])  # they share a corner
    assert touching([np.array([[0, 0], [4, 4], [4, 0], [0, 4]], float)])  # a bow tie
    assert touching([np.array([[0, 0], [4, 0], [2, 0], [2, 3]], float)])  # back along its own edge
