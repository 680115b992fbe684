"""Removal of small components and holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from wsss.refine.cleaning import CleaningConfig, clean

MASKS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 0, 1, 1, 255]))


def reference(mask: np.ndarray, components: int, holes: int) -> np.ndarray:
    """Reference implementation with SciPy, for one class without uncertain pixels."""
    result = mask.copy()
    parts, count = ndimage.label(result == 1, structure=np.ones((3, 3)))
    for number in range(1, count + 1):
        if (parts == number).sum() < components:
            result[parts == number] = 0
    filled = ndimage.binary_fill_holes(result == 1)  # 4-connected background inside
    parts, count = ndimage.label(filled & (result == 0))
    for number in range(1, count + 1):
        if (parts == number).sum() < holes:
            result[parts == number] = 1
    return result


@given(MASKS, st.integers(0, 9), st.integers(0, 9))
def test_result_equals_the_reference(mask: np.ndarray, components: int, holes: int) -> None:
    sure = np.where(mask == 255, 0, mask).astype(np.uint8)
    cleaned = clean(sure, CleaningConfig(components=components, holes=holes))
    np.testing.assert_array_equal(cleaned, reference(sure, components, holes))


@given(MASKS, st.integers(0, 9), st.integers(0, 9))
def test_cleaning_is_idempotent_and_keeps_uncertain_pixels(mask: np.ndarray, components: int, holes: int) -> None:
    config = CleaningConfig(components=components, holes=holes)
    cleaned = clean(mask, config)
    np.testing.assert_array_equal(cleaned == 255, mask == 255)
    np.testing.assert_array_equal(clean(mask, CleaningConfig()), mask)
    only_parts = clean(mask, CleaningConfig(components=components))
    np.testing.assert_array_equal(clean(only_parts, CleaningConfig(components=components)), only_parts)


def test_a_hole_becomes_the_most_frequent_surrounding_class() -> None:
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 2], [1, 1, 2, 2]], np.uint8)
    cleaned = clean(mask, CleaningConfig(holes=3))
    assert cleaned[1].tolist() == [1, 1, 1, 2]


@pytest.mark.parametrize(("neighbours", "expected"), [([255] * 4, 0), ([255, 255, 255, 1], 0), ([255, 255, 1, 1], 1)])
def test_a_hole_among_uncertain_pixels_stays_background(neighbours: list[int], expected: int) -> None:
    """Even if a class surrounds the uncertain pixels: certain background does not become uncertain."""
    mask = np.ones((5, 5), np.uint8)
    mask[1:4, 1:4] = 255
    mask[2, 2] = 0
    mask[[1, 2, 2, 3], [2, 1, 3, 2]] = neighbours
    cleaned = clean(mask, CleaningConfig(holes=4))
    assert cleaned[2, 2] == expected
    np.testing.assert_array_equal(cleaned == 255, mask == 255)


def test_each_class_has_its_own_components() -> None:
    mask = np.array([[1, 2, 2, 0, 1, 1, 1]], np.uint8)
    assert clean(mask, CleaningConfig(components=3))[0].tolist() == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("config", "expected"), [({}, {}), ({"holes": 4}, {"cleaned": {"components": 0, "holes": 4}})])
def test_provenance_records_active_cleaning(config: dict[str, int], expected: dict[str, object]) -> None:
    assert CleaningConfig(**config).provenance == expected
