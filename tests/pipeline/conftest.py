"""A working directory with the toy dataset, and a clock that tests set."""

from __future__ import annotations

from pathlib import Path

import pytest
from clocks import Clock
from toys import make_toy_data

from wsss.pipeline.run import progress


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")
    return tmp_path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock
