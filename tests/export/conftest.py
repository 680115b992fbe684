"""Masks that every format is tested on."""

from __future__ import annotations

from pathlib import Path

import pytest
from exported import made_masks, photographs_masks

from wsss.export.export_items import Masks


@pytest.fixture
def made(tmp_path: Path) -> Masks:
    """Four synthetic masks."""
    return made_masks(tmp_path / "in")


@pytest.fixture(scope="session")
def photographs() -> Masks:
    """Six masks of photographs."""
    return photographs_masks()


@pytest.fixture(params=["made", pytest.param("photographs", marks=pytest.mark.slow)])
def masks(request: pytest.FixtureRequest) -> Masks:
    """Synthetic masks, and masks of photographs."""
    masks: Masks = request.getfixturevalue(request.param)
    return masks
