"""A working directory with the toy dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import make_toy_data


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")
    return tmp_path
