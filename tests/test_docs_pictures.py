"""Pictures of the documentation: each exists, is shown, and has a text that describes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *DOCS.glob("*.md")]


@pytest.fixture
def step_pictures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(DOCS)
    import step_pictures

    return step_pictures


def pictures(page: Path) -> list[tuple[str, Path]]:
    """Return the alternative text and the file of each picture on a page."""
    return [(text, (page.parent / target).resolve()) for text, target in SHOWN.findall(page.read_text("utf-8"))]


def test_every_picture_exists_and_every_file_is_shown() -> None:
    shown = {file for page in PAGES for _, file in pictures(page)}
    assert {file for folder in ("docs", "data") for file in (ROOT / folder).glob("*.png")} == shown


def test_texts_describe_the_pictures() -> None:
    texts = [text for page in PAGES for text, _ in pictures(page)]
    assert len(texts) == len(set(texts)) and all(len(text.split()) >= 4 for text in texts)


def test_the_script_makes_the_pictures_of_the_steps(step_pictures: Any) -> None:
    pages = ("answers.md", "corrections.md")
    shown = {file.name: page for page in pages for _, file in pictures(DOCS / page)}
    assert list(shown.items()) == list(step_pictures.PICTURES.items())
    sizes = {name: (DOCS / name).stat().st_size for name in shown}
    assert {name for name, size in sizes.items() if size > step_pictures.MAX_BYTES} == set()


def test_colours_are_reduced_until_a_picture_is_small(step_pictures: Any, tmp_path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    for name, pixels in {"noise": noise, "flat": np.full_like(noise, 90)}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        step_pictures.shrink(tmp_path / f"{name}.png", tmp_path / f"small-{name}.png")
    with Image.open(tmp_path / "small-noise.png") as small, Image.open(tmp_path / "small-flat.png") as flat:
        assert small.mode == "P" and small.size == (300, 200)
        assert np.array_equal(np.asarray(flat), np.full_like(noise, 90))
    assert (tmp_path / "small-noise.png").stat().st_size <= step_pictures.MAX_BYTES


def test_the_worst_quarter_is_corrected(step_pictures: Any) -> None:
    truth = np.zeros((6, 8), np.uint8)
    truth[4:, :3] = 1
    marked = step_pictures.worst_quarter(np.zeros_like(truth), truth)
    assert np.array_equal(marked[3:, :4], truth[3:, :4])
    assert (marked[:3] == 255).all() and (marked[:, 4:] == 255).all()
