"""The masks that every format is tried on."""

from __future__ import annotations

from pathlib import Path

import pytest
from exported import made_masks, photographs_masks

from wsss.export.export_items import Masks


@pytest.fixture
def made(tmp_path: Path) -> Masks:
    """Four made-up masks."""
    return made_masks(tmp_path / "in")


@pytest.fixture(scope="session")
def photographs() -> Masks:
    """Six real ones."""
    return photographs_masks()


@pytest.fixture(params=["made", "photographs"])
def masks(request: pytest.FixtureRequest) -> Masks:
    """Each of the two."""
    found: Masks = request.getfixturevalue(request.param)
    return found
