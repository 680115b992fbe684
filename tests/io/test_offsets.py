from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import offsets_path
from wsss.io.rasters.arrays import write_arrays
from wsss.io.rasters.offsets import Offsets, read_offsets, write_offsets

shapes = array_shapes(min_dims=3, max_dims=3, max_side=4).map(lambda shape: (shape[0], 2, *shape[1:]))
halves = arrays(np.float16, shapes, elements=st.floats(-1000, 1000, width=16))


@given(halves, st.integers(1, 32) | st.floats(1, 64), st.tuples(st.integers(1, 999), st.integers(1, 999)))
def test_round_trip(tmp_path_factory, values, stride, size):
    path = offsets_path(tmp_path_factory.mktemp("offsets"), "some image")
    write_offsets(path, Offsets(values, stride, size))
    result = read_offsets(path)
    assert np.array_equal(result.offsets, values) and result.offsets.dtype == np.float32
    assert (result.stride, result.size) == (stride, size)


@pytest.mark.parametrize(
    "values", [np.zeros((3, 4, 4)), np.zeros((3, 3, 4, 4)), np.full((1, 2, 1, 1), np.nan), np.full((1, 2, 1, 1), 1e5)]
)
def test_invalid_offsets_are_not_written(tmp_path: Path, values):
    with pytest.raises(ValueError, match=r"shape|finite"):
        write_offsets(tmp_path / "a.npz", Offsets(values, 8, (5, 5)))
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": None},
        {"offsets": np.zeros((3, 4, 4), np.float16)},
        {"stride": np.asarray(0)},
        {"stride": np.asarray(np.inf)},
        {"stride": np.asarray(np.nan)},
        {"size": np.asarray(3)},
    ],
)
def test_other_files_are_refused(tmp_path: Path, change):
    good = {"offsets": np.zeros((1, 2, 3, 3), np.float16), "stride": np.asarray(8), "size": np.asarray([24, 24])}
    write_arrays(tmp_path / "a.npz", {key: value for key, value in {**good, **change}.items() if value is not None})
    with pytest.raises(InvalidInput) as error:
        read_offsets(tmp_path / "a.npz")
    assert error.value.subject == str(tmp_path / "a.npz")


def test_the_origin_is_kept_and_absent_by_default(tmp_path: Path) -> None:
    zeros = np.zeros((1, 2, 2, 3), np.float32)
    for origin in (0.0, 7.5):
        write_offsets(tmp_path / "a.npz", Offsets(zeros, 16, (32, 48), origin))
        assert read_offsets(tmp_path / "a.npz").origin == origin
        with np.load(tmp_path / "a.npz") as arrays:
            assert ("origin" in arrays) == (origin != 0)
