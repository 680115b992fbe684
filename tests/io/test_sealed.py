from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from flipping import flip
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.io.files.sealed import SEAL, check_sealed_zip, read_sealed_json, write_sealed_json, write_sealed_zip

VALUE: dict[str, Any] = {"id": "cam", "metrics": {"loss": 0.125, "n": 10, "9": None}, "names": ["ä", "b"]}


def zipped(comment: bytes = b"") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a", b"some content")
        archive.comment = comment
    return content.getvalue()


def test_text_that_is_not_utf8_is_invalid_input(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        write_sealed_json(tmp_path / "a", {"directory": "r\udcff"})
    assert not list(tmp_path.iterdir())


def sealed_zip(path: Path) -> Path:
    with path.open("wb") as file:
        write_sealed_zip(file, memoryview(zipped()))
    return path


def test_sealed_zip_is_a_zip_file(tmp_path: Path) -> None:
    path = sealed_zip(tmp_path / "a.zip")
    check_sealed_zip(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("a") == b"some content"
        assert archive.comment.startswith(b"sha256:")


@pytest.mark.slow
def test_flipped_bits_of_a_sealed_zip_are_detected(tmp_path: Path) -> None:
    path = sealed_zip(tmp_path / "a.zip")
    for bit in range(0, 8 * path.stat().st_size, 3):
        flip(path, bit)
        with pytest.raises(ValueError, match="it is damaged"):
            check_sealed_zip(path)
        flip(path, bit)
    check_sealed_zip(path)


@pytest.mark.parametrize("left", [0, 1, 70, -1, -40])
def test_truncated_sealed_zip_is_detected(tmp_path: Path, left: int) -> None:
    path = sealed_zip(tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ValueError, match="it is damaged"):
        check_sealed_zip(path)


@pytest.mark.parametrize("content", [zipped(b"a comment"), b"", b"no zip file, but long enough to be one"])
def test_other_content_cannot_be_sealed(content: bytes) -> None:
    with pytest.raises(ValueError):
        write_sealed_zip(io.BytesIO(), memoryview(content))


def test_sealed_object_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed_json(path, VALUE)
    assert read_sealed_json(path) == VALUE
    assert json.loads(path.read_text())[SEAL].keys() == {"sha256", "mtime_ns"}
    write_sealed_json(path, {**read_sealed_json(path), 10: "a key that is not a string", 9: ("a", 1)})
    assert read_sealed_json(path) == {**VALUE, "10": "a key that is not a string", "9": ["a", 1]}


@given(bit=st.integers(0, 8 * 250))
def test_flipped_bit_is_harmless_or_detected(tmp_path_factory: pytest.TempPathFactory, bit: int) -> None:
    path = tmp_path_factory.mktemp("sealed") / "a.json"
    write_sealed_json(path, VALUE)
    flip(path, bit % (8 * path.stat().st_size))
    try:
        result = read_sealed_json(path)
    except ValueError:
        return
    # a flipped bit in the seal's key leaves an unverified object
    assert {name: result[name] for name in VALUE} == VALUE


def test_edited_object_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed_json(path, VALUE)
    edited = json.loads(path.read_text()) | {"id": "other"}
    path.write_text(json.dumps(edited))
    assert read_sealed_json(path) == VALUE | {"id": "other"}
    seal = edited[SEAL]["mtime_ns"]
    os.utime(path, ns=(seal, seal))
    with pytest.raises(ValueError, match="it is damaged"):
        read_sealed_json(path)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, "text", None])
def test_json_without_a_seal(tmp_path: Path, value: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read_sealed_json(tmp_path / "a.json") == value


def test_non_finite_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_sealed_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not (tmp_path / "a.json").exists()
