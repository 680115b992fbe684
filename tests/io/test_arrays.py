"""Arrays as npz."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from wsss.errors import InvalidInput
from wsss.io.arrays import read_arrays, write_arrays

ARRAYS = {"maps": np.linspace(0, 1, 60, dtype=np.float16).reshape(3, 4, 5), "classes": np.array([1, 4, 9])}


def test_round_trip_keeps_types_and_bytes_over_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    later = time.time() + 1e7
    monkeypatch.setattr(time, "time", lambda: later)
    write_arrays(tmp_path / "b.npz", ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def test_objects_are_refused_both_ways(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'x' holds Python objects"):
        write_arrays(tmp_path / "a.npz", {"x": np.array([{}], dtype=object)})
    assert not list(tmp_path.iterdir())
    np.savez(tmp_path / "pickled.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InvalidInput, match=r"pickled\.npz: not a readable"):
        read_arrays(tmp_path / "pickled.npz")
    (tmp_path / "plain.npz").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InvalidInput, match=r"plain\.npz: not a readable"):
        read_arrays(tmp_path / "plain.npz")


def test_every_truncation_and_every_flipped_byte_is_an_error_or_harmless(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    content = (tmp_path / "a.npz").read_bytes()
    path = tmp_path / "b.npz"
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(InvalidInput, match=r"b\.npz"):
            read_arrays(path)
    for position in range(0, len(content), 3):
        broken = bytearray(content)
        broken[position] ^= 0xFF
        path.write_bytes(broken)
        try:
            read_arrays(path)
        except InvalidInput as error:
            assert "b.npz" in str(error)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent\.npz: no such file"):
        read_arrays(tmp_path / "absent.npz")


def test_a_single_array_file_is_not_an_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(InvalidInput, match="not a readable"):
        read_arrays(tmp_path / "a.npz")
