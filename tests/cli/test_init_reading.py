"""``wsss init`` of 16-bit images: left out with a hint, or read with settings that the pipeline keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from inprocess import refused, succeed
from PIL import Image


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten 16-bit images of two pages and their labels."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells").mkdir()
    rows = ["image,labels"]
    for number in range(10):
        page = Image.fromarray(np.full((20, 24), 400 * number, np.uint16))
        page.save(tmp_path / "cells" / f"{number}.tif", save_all=True, append_images=[page])
        rows.append(f"{number}.tif,{'cell' if number % 2 else ''}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


INIT = ("init", "--images", "cells", "--labels", "labels.csv", "--weights", "none", "--out", "w")


def test_settings_are_written_to_the_pipeline(here: Path) -> None:
    message = refused(*INIT)
    assert "2 pages" in message and "data.page" in message
    message = refused(*INIT, "--page", "2")
    assert "16-bit" in message and "--scaling" in message
    succeed(*INIT, "--page", "2", "--scaling", "0,4095", "--bands", "1")
    data = yaml.safe_load((here / "w" / "pipeline.yaml").read_text())["data"]
    assert (data["scaling"], data["page"], data["bands"]) == ([0, 4095], 2, [1])
    checked = succeed("data", "check", "w/pipeline.yaml")
    assert "16-bit, data.scaling: [0, 4095], data.bands: [1]" in checked.stdout


def test_each_unreadable_image_has_a_line_and_all_one_hint(here: Path) -> None:
    message = refused(*INIT)
    lines = message.splitlines()
    assert "\\n" not in message and lines[-2].strip() == "… and 7 more."
    assert lines[-5].strip().startswith("cells/0.tif: ")
    assert lines[-1].startswith("Set data.page") and "wsss init --page" in lines[-1]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--scaling", "max"), ("--scaling", "5,1"), ("--scaling", "1"), ("--bands", "1,2"), ("--bands", "a")],
)
def test_invalid_values(here: Path, option: str, value: str) -> None:
    message = refused(*INIT, option, value)
    assert f"{option}: " in message and repr(value) in message
