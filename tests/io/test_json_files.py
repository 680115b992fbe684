"""Bounded reading of JSON files."""

import tracemalloc
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from wsss.io.files import json_files
from wsss.io.files.json_files import read_json
from wsss.io.files.sealed import read_intact_json, write_sealed_json


@pytest.mark.parametrize("read", [partial(read_json, max_bytes=100_000_000), read_intact_json])
def test_memory_depends_on_the_size_of_the_file_not_on_the_limit(read: Callable[[Path], Any], tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_sealed_json(file, {"a": 1})
    tracemalloc.start()
    try:
        assert read(file)["a"] == 1
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("stated", [0, 3, 7, 100])
def test_a_file_may_grow_or_state_another_size(stated: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may still write it, and files in /proc state a size of 0."""
    file = tmp_path / "a.json"
    file.write_text("[1, 23]")
    monkeypatch.setattr(json_files, "_size", lambda _: stated)
    assert read_json(file, max_bytes=7) == [1, 23]
    with pytest.raises(ValueError, match="larger than 6 bytes"):
        read_json(file, max_bytes=6)


def test_an_endless_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"[1]")
    content = BytesIO(b" " * 10_000_000)
    monkeypatch.setattr(json_files, "open_to_read", lambda _: content)
    monkeypatch.setattr(json_files, "_size", lambda _: 3)
    with pytest.raises(ValueError, match="larger than 3,000,000 bytes"):
        read_json(file, max_bytes=3_000_000)
