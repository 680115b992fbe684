"""docs/api.md is up to date, and its examples run."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import api_page
import pytest
from learning import picture_of_colours, random_segmenter

from wsss.io.rasters.rgb_images import write_png

ENTRIES = dict(api_page.entries())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's working directory: a finished run, and a photograph."""
    folder = tmp_path_factory.mktemp("reader")
    random_segmenter(folder / "runs" / "quickstart" / "segment")
    write_png(folder / "photo.png", picture_of_colours())
    return folder


def test_the_page_is_up_to_date() -> None:
    assert api_page.PAGE.read_text(encoding="utf-8") == api_page.page(), "run: python docs/api_page.py"


@pytest.mark.parametrize("name", ENTRIES)
def test_examples(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    value: Any = ENTRIES[name]
    tests = [test for test in doctest.DocTestFinder(recurse=False).find(value, name, globs={}) if test.examples]
    assert tests, "every public entry has an example"
    assert doctest.DocTestRunner().run(tests[0]).failed == 0
