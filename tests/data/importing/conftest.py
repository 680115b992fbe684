"""Files of labels, and images."""

from __future__ import annotations

from pathlib import Path

import pytest
from planned import draw


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a JSON file, not written yet."""
    return tmp_path / "labels.json"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with twelve different images."""
    for number in range(12):
        draw(tmp_path / "images" / f"i{number}.png", number)
    return tmp_path / "images"
