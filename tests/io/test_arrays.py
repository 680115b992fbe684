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


def test_round_trip_is_deterministic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    later = time.time() + 1e7
    monkeypatch.setattr(time, "time", lambda: later)
    write_arrays(tmp_path / "b.npz", ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    result = read_arrays(tmp_path / "a.npz")
    assert list(result) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert result[name].dtype == array.dtype and np.array_equal(result[name], array)


@pytest.mark.parametrize("compress", [False, True])
def test_arrays_are_stored_or_deflated(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"zeros": np.zeros((50, 60), np.float16)}, compress=compress)
    assert (path.stat().st_size < 2 * 50 * 60) == compress
    assert np.array_equal(read_arrays(path)["zeros"], np.zeros((50, 60)))


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Python objects"):
        write_arrays(tmp_path / "a.npz", {"x": np.array([{}], dtype=object)})
    assert not list(tmp_path.iterdir())
    np.savez(tmp_path / "pickled.npz", x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "plain.npz").write_bytes(pickle.dumps({"a": 1}))
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    for name in ("pickled", "plain", "single", "missing"):
        with pytest.raises(InvalidInput) as error:
            read_arrays(tmp_path / f"{name}.npz")
        assert error.value.subject == str(tmp_path / f"{name}.npz")


def test_truncations_and_flipped_bytes_are_detected_or_harmless(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    content = (tmp_path / "a.npz").read_bytes()
    path = tmp_path / "b.npz"
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(InvalidInput):
            read_arrays(path)
    for position in range(0, len(content), 3):
        broken = bytearray(content)
        broken[position] ^= 0xFF
        path.write_bytes(broken)
        try:
            read_arrays(path)
        except InvalidInput as error:
            assert error.subject == str(path)


def _bomb(path: Path, header: bytes, size: int) -> None:
    """Write an archive with one array: a header, and zeros compressed a thousandfold."""
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
        ((64, 2**20), 2**26, 2**25, "at most 64 arrays"),  # too large for its compression ratio
        ((2**20, 2**20), 2**20, 2**25, "an array of 1099511627776 bytes, got 1048576"),  # a false header
        ((64, 2**20), 2**26, 2**26 + 200, None),
    ],
)
def test_decompression_bombs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], size: int, most: int, reason: str | None
) -> None:
    monkeypatch.setattr(arrays, "MAX_BYTES", most)
    _bomb(tmp_path / "a.npz", _header(shape), size)
    tracemalloc.start()
    try:
        if reason is None:
            assert read_arrays(tmp_path / "a.npz")["cams"].shape == shape
            return
        with pytest.raises(InvalidInput) as error:
            read_arrays(tmp_path / "a.npz")
        assert error.value.subject == str(tmp_path / "a.npz")
        assert reason in (error.value.problem or str(error.value.allowed))
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_single_array_larger_than_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(_header((2**40,)) + bytes(100))
    with pytest.raises(InvalidInput) as error:
        read_array(tmp_path / "a.npy")
    assert error.value.subject == str(tmp_path / "a.npy") and "1099511627776 bytes, got 100" in error.value.problem
    np.save(tmp_path / "b.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert read_array(tmp_path / "b.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
