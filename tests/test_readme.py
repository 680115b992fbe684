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


def test_the_pipeline_for_ones_own_images_is_complete(photos: Path) -> None:
    (block,) = re.findall(r"```yaml\n(name: photos.*?)```", README, flags=re.DOTALL)
    Path("photos.yaml").write_text(block)
    done = CliRunner().invoke(cli, ["run", "photos.yaml", "--dry-run", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    planned = [stage["id"] for stage in json.loads(done.stdout)["stages"]]
    assert planned == ["classify", "expand", "shrink", "cam", "pseudo", "crf", "segment", "predict", "report"]
    checked = CliRunner().invoke(cli, ["data", "check", "photos", "--json"], catch_exceptions=False)
    assert checked.exit_code == 0


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
    from wsss.io.images import read_image

    picture = read_image(ROOT / "docs" / "quickstart.png")
    assert np.ptp(picture) > 200 and picture.shape[1] > 600
