"""What the README shows has to work as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from docpages import blocks, commands, look_up

from wsss.cli.main import cli
from wsss.data.synthetic.shapes import Config, generate

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder as the README draws it: images and labels, no masks, no splits."""
    generate(Config(size=32, train=12, val=1, classes=2), tmp_path / "made")
    (tmp_path / "photos").mkdir()
    (tmp_path / "made" / "images").rename(tmp_path / "photos" / "images")
    lines = (tmp_path / "made" / "labels.csv").read_text().splitlines()
    rows = [line.rsplit(",", 1)[0] for line in lines]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def test_the_way_from_ones_own_images_to_a_plan(photos: Path) -> None:
    calls = [words for block in blocks(ROOT / "README.md") for words in commands(block.text)]
    (init,) = [words for words in calls if words[0] == "init"]
    plan = next(words for words in calls if words[0] == "run" and "--dry-run" in words)
    made = CliRunner().invoke(cli, init, catch_exceptions=False)
    assert made.exit_code == 0
    done = CliRunner().invoke(cli, [*plan, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    planned = [stage["id"] for stage in json.loads(done.stdout)["stages"]]
    assert planned[:7] == ["classify", "expand", "shrink", "cam", "pseudo", "crf", "segment"] and "predict" in planned


def test_every_command_and_option_it_names_exists() -> None:
    calls = [(block.place, words) for block in blocks(ROOT / "README.md") for words in commands(block.text)]
    assert len(calls) >= 8
    for place, words in calls:
        look_up(words, place)


def test_every_link_leads_somewhere() -> None:
    for page in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "data" / "README.md",
        *(ROOT / "docs").glob("*.md"),
    ]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_picture_is_one() -> None:
    from wsss.io.rasters.rgb_images import read_image

    picture = read_image(ROOT / "docs" / "quickstart.png")
    assert np.ptp(picture) > 200 and picture.shape[1] > 600
