"""The code in docs/extending.md, laid on a copy of the project and run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from docpages import Session, blocks, check_marks

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy = tmp_path / "checkout"
    for folder in ("wsss", "configs", "pipelines"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_every_block_is_run_or_a_file() -> None:
    check_marks(PAGE)
    assert sum(block.language == "diff" for block in blocks(PAGE)) >= 3


@pytest.mark.slow
def test_all_of_it(tmp_path: Path, checkout: Path) -> None:
    (tmp_path / "here").mkdir()
    session = Session(tmp_path / "here", slow=True, checkout=checkout)
    for block in blocks(PAGE):
        session.run(block)
    assert list((tmp_path / "here" / "runs" / "borders" / "borders" / "masks").glob("*.png"))
    assert (tmp_path / "here" / "runs" / "borders" / "segment" / "model.safetensors").is_file()
