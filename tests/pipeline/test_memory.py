"""Peak memory of a stage."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from wsss.pipeline.processes.memory import peak_bytes, reset_peak

LINUX = Path("/proc/self/clear_refs").exists()


@pytest.mark.skipif(not LINUX, reason="requires /proc")
def test_the_peak_since_the_reset() -> None:
    reset_peak("cpu")
    before = peak_bytes("cpu")
    with mmap.mmap(-1, 60_000_000) as block:  # new pages, whatever the allocator still holds
        block.write(b"x" * 60_000_000)
    after = peak_bytes("cpu")
    assert before is not None and after is not None and 40_000_000 < after - before < 400_000_000
    reset_peak("cpu")
    again = peak_bytes("cpu")
    assert again is not None and again < after


def test_the_peak_is_unknown_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("wsss.pipeline.processes.memory._STATUS", tmp_path / "none")
    monkeypatch.setattr("wsss.pipeline.processes.memory._CLEAR", tmp_path / "none" / "none")
    reset_peak("cpu")
    assert peak_bytes("cpu") is None
