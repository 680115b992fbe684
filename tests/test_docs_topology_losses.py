"""What docs/topology-losses.md tells people to do, done."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from docpages import Session, blocks, check_marks

PAGE = Path(__file__).parents[1] / "docs" / "topology-losses.md"
SHARED = os.environ.get("WSSS_SHARED_DATA")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder, with TopoMortar's repository where it is at hand."""
    here = tmp_path / "here"
    here.mkdir()
    if SHARED:
        (here / "topomortar").symlink_to(Path(SHARED) / "topomortar")
    return here


def test_every_block_is_run_or_a_file() -> None:
    check_marks(PAGE)


@pytest.mark.slow
def test_all_of_it(folder: Path) -> None:
    session = Session(folder, slow=True)
    printed = "".join([session.run(block) for block in blocks(PAGE)])
    assert re.search(r"BettiNumbers\(b0=[1-9].*matching error [1-9]", printed), "it is the label that was counted"
    assert (folder / "errors.svg").read_text().lstrip().startswith(("<svg", "<?xml"))
    if SHARED:
        assert list((folder / "plots").glob("*.svg")) and "clDice" in (folder / "tables.html").read_text()
    assert (folder / "cldice" / "model.safetensors").is_file()
    assert "clDice" in (folder / "runs" / "mine" / "bench" / "tables.md").read_text()
