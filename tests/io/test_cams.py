from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsss.errors import InvalidInput
from wsss.io.arrays import write_arrays
from wsss.io.cams import Cams, best_class, read_cams, write_cams

stacks = st.integers(1, 4).flatmap(
    lambda count: arrays(np.float32, (count, 5, 6), elements=st.sampled_from([0, 0.25, 0.5, 1]))
)


def cams(count: int = 2) -> Cams:
    maps = np.random.default_rng(0).random((count, 6, 8), dtype=np.float32)
    return Cams(maps, tuple(range(3, 3 + count)), (23, 31))


def test_a_round_trip_keeps_half_precision(tmp_path: Path) -> None:
    write_cams(tmp_path / "x.npz", cams())
    found = read_cams(tmp_path / "x.npz")
    assert (found.classes, found.size) == ((3, 4), (23, 31))
    assert np.array_equal(found.maps, cams().maps.astype(np.float16).astype(np.float32))


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", {"maps": np.zeros((1, 2, 2)), "classes": np.zeros(2), "size": np.zeros(2)})
    with pytest.raises(InvalidInput, match="not a CAM file"):
        read_cams(tmp_path / "x.npz")


def test_maps_at_full_size_together_and_one_by_one() -> None:
    expected = np.stack([cv2.resize(one, (31, 23), interpolation=cv2.INTER_LINEAR) for one in cams().maps])
    assert np.array_equal(cams().full_size(), expected)
    assert np.array_equal(np.stack(list(cams().each_at_full_size())), expected)
    assert cams().at((5, 7)).shape == (2, 5, 7)
    assert cams(0).full_size().shape == (0, 23, 31) and list(cams(0).each_at_full_size()) == []


@given(stacks)
def test_the_best_class_is_the_first_of_the_highest(maps: np.ndarray) -> None:
    classes = (7, 2, 9, 4)[: len(maps)]
    highest, best = best_class(iter(maps), classes, (5, 6))
    assert np.array_equal(highest, maps.max(0))
    assert np.array_equal(best, np.array(classes)[maps.argmax(0)])
    assert (highest.dtype, best.dtype) == (np.float32, np.uint8)


def test_without_maps_nothing_is_best() -> None:
    highest, best = best_class([], (), (2, 3))
    assert highest.shape == best.shape == (2, 3) and not highest.any() and not best.any()
