from __future__ import annotations

import errno
from pathlib import Path

import pytest

from wsss.pipeline.run.error_hints import full_disk, not_finite


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file_and_a_hint(number: int) -> None:
    named = full_disk(OSError(number, "full", "some/file"), Path("folder"))
    assert named is not None
    assert named.subject == "some/file"
    unnamed = full_disk(OSError(number, "full"), Path("folder"))
    assert unnamed is not None
    assert "folder" in unnamed.message
    assert unnamed.hint


def test_other_errors_are_not_a_full_disk() -> None:
    assert full_disk(PermissionError(errno.EACCES, "no"), Path("x")) is None
    assert full_disk(KeyError("x"), Path("x")) is None


def test_not_finite_numbers_are_found() -> None:
    value = {"a": 1.0, "b": [0.5, float("nan")], "c": {"d": float("-inf"), "e": None, "f": "nan", "g": True}}
    assert list(not_finite(value)) == ["b.1 is nan", "c.d is -inf"]
