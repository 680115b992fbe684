from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.io.utf8 import is_utf8, require_utf8, require_working_directory


@given(st.binary(max_size=12))
def test_is_utf8(name: bytes) -> None:
    assert is_utf8(os.fsdecode(name)) == (os.fsdecode(name) == name.decode("utf-8", "replace"))


def test_require_utf8() -> None:
    require_utf8(Path("ä\n"), "--out")
    with pytest.raises(InvalidInput) as error:
        require_utf8(Path("a/r\udcff"), "--out")
    assert error.value.message.startswith(r"--out a/r\udcff: ")
    with pytest.raises(InvalidInput) as error:
        require_utf8("r\ud800", "")
    assert error.value.subject == "r\ud800"


def test_require_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    require_working_directory()
    gone.rmdir()
    with pytest.raises(InvalidInput):
        require_working_directory()
