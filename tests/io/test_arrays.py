"""Arrays as npz."""

from __future__ import annotations

import io
import pickle
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from wsss.errors import InvalidInput
from wsss.io.rasters import arrays
from wsss.io.rasters.arrays import read_array, read_arrays, write_arrays

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


def _bomb(path: Path, header: bytes, size: int) -> None:
    """Write an archive with one array: a header, and zeros that are compressed a thousandfold."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("cams.npy", "w") as member:
        member.write(header)
        for _ in range(size // 2**20):
            member.write(bytes(2**20))


def _header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("shape", "size", "most", "reason"),
    [
        ((64, 2**20), 2**26, 2**25, "at most 64 arrays"),  # more than is read at such a compression
        ((2**20, 2**20), 2**20, 2**25, "an array of 1099511627776 bytes in 1048576"),  # a header that lies
        ((64, 2**20), 2**26, 2**26 + 200, None),
    ],
)
def test_a_bomb_is_refused_before_it_is_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], size: int, most: int, reason: str | None
) -> None:
    monkeypatch.setattr(arrays, "MOST_BYTES", most)
    _bomb(tmp_path / "a.npz", _header(shape), size)
    tracemalloc.start()
    try:
        if reason is None:
            assert read_arrays(tmp_path / "a.npz")["cams"].shape == shape
            return
        with pytest.raises(InvalidInput, match=reason):
            read_arrays(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_single_array_that_claims_more_than_its_file_has(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(_header((2**40,)) + bytes(100))
    with pytest.raises(InvalidInput, match="an array of 1099511627776 bytes in 100"):
        read_array(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert read_array(tmp_path / "b.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
