from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from wsss.refine.cleaning import CleaningConfig, clean

MASKS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 0, 1, 1, 255]))


def by_hand(mask: np.ndarray, components: int, holes: int) -> np.ndarray:
    """The same by another library, for one class and no unsure pixels."""
    result = mask.copy()
    parts, count = ndimage.label(result == 1, structure=np.ones((3, 3)))
    for number in range(1, count + 1):
        if (parts == number).sum() < components:
            result[parts == number] = 0
    filled = ndimage.binary_fill_holes(result == 1)  # 4-connected background that doesn't reach the border
    parts, count = ndimage.label(filled & (result == 0))
    for number in range(1, count + 1):
        if (parts == number).sum() < holes:
            result[parts == number] = 1
    return result


@given(MASKS, st.integers(0, 9), st.integers(0, 9))
def test_it_is_what_another_library_does(mask: np.ndarray, components: int, holes: int) -> None:
    sure = np.where(mask == 255, 0, mask).astype(np.uint8)
    cleaned = clean(sure, CleaningConfig(components=components, holes=holes))
    np.testing.assert_array_equal(cleaned, by_hand(sure, components, holes))


@given(MASKS, st.integers(0, 9), st.integers(0, 9))
def test_twice_is_once_and_unsure_pixels_stay(mask: np.ndarray, components: int, holes: int) -> None:
    config = CleaningConfig(components=components, holes=holes)
    cleaned = clean(mask, config)
    assert ((cleaned == 255) >= (mask == 255)).all()
    np.testing.assert_array_equal(clean(mask, CleaningConfig()), mask)
    only_parts = clean(mask, CleaningConfig(components=components))
    np.testing.assert_array_equal(clean(only_parts, CleaningConfig(components=components)), only_parts)


def test_a_hole_becomes_the_class_that_is_most_around_it() -> None:
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 2], [1, 1, 2, 2]], np.uint8)
    cleaned = clean(mask, CleaningConfig(holes=3))
    assert cleaned[1].tolist() == [1, 1, 1, 2]


def test_each_class_has_its_own_components() -> None:
    mask = np.array([[1, 2, 2, 0, 1, 1, 1]], np.uint8)
    assert clean(mask, CleaningConfig(components=3))[0].tolist() == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("config", "said"), [({}, {}), ({"holes": 4}, {"cleaned": {"components": 0, "holes": 4}})])
def test_scores_carry_it_where_something_is_dropped(config: dict[str, int], said: dict[str, object]) -> None:
    assert CleaningConfig(**config).provenance == said
