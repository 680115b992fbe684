"""Files of labels."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a JSON file, not written yet."""
    return tmp_path / "labels.json"
