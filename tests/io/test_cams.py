from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import write_arrays
from wsss.io.rasters.cams import Cams, best_class, read_cams, write_cams

stacks = st.integers(1, 4).flatmap(
    lambda count: arrays(np.float32, (count, 5, 6), elements=st.sampled_from([0, 0.25, 0.5, 1]))
)


def cams(count: int = 2) -> Cams:
    maps = np.random.default_rng(0).random((count, 6, 8), dtype=np.float32)
    return Cams(maps, tuple(range(3, 3 + count)), (23, 31))


def test_round_trip_keeps_half_precision(tmp_path: Path) -> None:
    write_cams(tmp_path / "x.npz", cams())
    result = read_cams(tmp_path / "x.npz")
    assert (result.classes, result.size) == ((3, 4), (23, 31))
    assert np.array_equal(result.maps, cams().maps.astype(np.float16).astype(np.float32))


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", {"maps": np.zeros((1, 2, 2)), "classes": np.zeros(2), "size": np.zeros(2)})
    with pytest.raises(InvalidInput):
        read_cams(tmp_path / "x.npz")


def with_value(value: float) -> np.ndarray:
    maps = cams().maps.astype(np.float16)
    maps[1, 2, 3] = value
    return maps


GOOD = {"maps": cams().maps, "classes": np.array([3, 4]), "size": np.array([23, 31])}


@pytest.mark.parametrize(
    ("change", "found", "allowed"),
    [
        ({"maps": np.zeros((2, 8, 6))}, "6×8", "31×23"),
        ({"size": np.array([31, 23])}, "23×31", "31×23"),
        ({"classes": np.array([3, 3])}, [3], "1 to 5"),
        ({"classes": np.array([0, 3])}, [0], "1 to 5"),
        ({"classes": np.array([3, 6])}, [6], "1 to 5"),
    ],
)
def test_maps_of_another_image_are_refused(tmp_path: Path, change: Any, found: Any, allowed: str) -> None:
    write_arrays(tmp_path / "x.npz", GOOD | change)
    with pytest.raises(InvalidInput) as caught:
        read_cams(tmp_path / "x.npz", size=(23, 31), classes=6)
    assert (caught.value.subject, caught.value.found) == (str(tmp_path / "x.npz"), found)
    assert allowed in str(caught.value.allowed) and caught.value.hint


@pytest.mark.parametrize("value", [np.nan, 1.01, -0.01])
def test_values_that_are_no_map_are_refused(tmp_path: Path, value: float) -> None:
    write_arrays(tmp_path / "x.npz", GOOD | {"maps": with_value(value)})
    with pytest.raises(InvalidInput) as caught:
        read_cams(tmp_path / "x.npz", size=(23, 31), classes=6)
    assert caught.value.subject == f"{tmp_path / 'x.npz'}: maps[1, 2, 3]" and caught.value.hint
    assert caught.value.found == pytest.approx(value, abs=1e-3, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"maps": np.zeros((2, 6, 8), np.uint8)}, "maps uint8[2, 6, 8]"),
        ({"maps": np.zeros((2, 0, 8))}, "maps float64[2, 0, 8]"),
        ({"classes": np.array([3.0, 4.0])}, "classes float64[2]"),
    ],
)
def test_arrays_of_another_type_or_shape_are_refused(tmp_path: Path, change: Any, found: str) -> None:
    write_arrays(tmp_path / "x.npz", GOOD | change)
    with pytest.raises(InvalidInput) as caught:
        read_cams(tmp_path / "x.npz", size=(23, 31), classes=6)
    assert caught.value.subject == str(tmp_path / "x.npz") and caught.value.hint
    assert isinstance(caught.value.found, list) and found in caught.value.found


def test_rounded_maps_of_a_resized_image_are_read(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", GOOD | {"maps": np.full((2, 7, 7), 1 + 2**-10, np.float16)})
    assert read_cams(tmp_path / "x.npz", size=(23, 31), classes=6).maps.max() == 1


def test_full_size() -> None:
    expected = np.stack([cv2.resize(class_map, (31, 23), interpolation=cv2.INTER_LINEAR) for class_map in cams().maps])
    assert np.array_equal(cams().at((23, 31)), expected)
    assert np.array_equal(np.stack(list(cams().each_at_full_size())), expected)
    assert cams().at((5, 7)).shape == (2, 5, 7)
    assert cams(0).at((23, 31)).shape == (0, 23, 31) and list(cams(0).each_at_full_size()) == []


@given(stacks)
def test_best_class_is_the_first_maximum(maps: np.ndarray) -> None:
    classes = (7, 2, 9, 4)[: len(maps)]
    highest, best = best_class(iter(maps), classes, (5, 6))
    assert np.array_equal(highest, maps.max(0))
    assert np.array_equal(best, np.array(classes)[maps.argmax(0)])
    assert (highest.dtype, best.dtype) == (np.float32, np.uint8)


def test_best_class_without_maps() -> None:
    highest, best = best_class([], (), (2, 3))
    assert highest.shape == best.shape == (2, 3) and not highest.any() and not best.any()
