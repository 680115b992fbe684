"""``wsss data tiles``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wsss.cli.commands.data import data
from wsss.errors import InvalidInput


def wsss_data(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiles") / "walls"
    counts = ("--train", 3, "--small", 1, "--val", 1, "--test", 1, "--size", 96)
    assert wsss_data("synth", "bricks", out, *counts).exit_code == 0
    return out


def test_tiles_of_a_dataset_are_a_dataset(walls: Path, tmp_path: Path) -> None:
    arguments = ("tiles", walls, tmp_path / "t", "--count", 30, "--size", 6, "--label-noise", 0.1, "--seed", 4)
    done = wsss_data(*arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{tmp_path / 't'}: 30 tiles of 6 pixels from 3 images, ")
    assert done.stdout.endswith(" without any class, 10% of the answers wrong\n")
    told = json.loads(wsss_data(*arguments, "--json").stdout)
    assert (told["tiles"], told["tile_size"], told["split"], told["seed"]) == (30, 6, "train", 4)
    assert "read from the masks of split 'train'" in told["answers"]
    checked = wsss_data("check", tmp_path / "t")
    assert checked.exit_code == 0 and "No problem." in checked.stdout and "mortar" in checked.stdout
    assert len(list((tmp_path / "t" / "images").glob("*.png"))) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", 500), "tiles without any class"),
        (("--label-noise", 0.7), "label_noise: input should be less than or equal to 0.5"),
        (("--split", "train-huge-accurate"), "unknown split"),
        (("--split", "train-large-noisy", "--count", 1), "count: input should be greater than or equal to 2"),
    ],
)
def test_what_cannot_be_drawn_is_told(walls: Path, tmp_path: Path, options: tuple[object, ...], message: str) -> None:
    wrong = wsss_data("tiles", walls, tmp_path / "t", *options)
    assert isinstance(wrong.exception, InvalidInput) and message in str(wrong.exception)
    again = wsss_data("tiles", walls, tmp_path / "t", "--count", 4, "--size", 6)
    assert again.exit_code == 0, "what was refused left nothing in the way"


def test_a_used_folder_is_left_alone(walls: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    wrong = wsss_data("tiles", walls, tmp_path)
    assert isinstance(wrong.exception, InvalidInput) and "mine.txt" in str(wrong.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
