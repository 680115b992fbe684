"""``wsss data synth shapes`` and ``wsss data check``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wsss.cli.data import data
from wsss.data.synthetic.shapes import Config
from wsss.errors import InvalidInput


def wsss_data(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def draw(out: Path) -> tuple[object, ...]:
    return ("synth", "shapes", out, "--train", 8, "--val", 4, "--size", 48, "--seed", 3)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "shapes"
    done = wsss_data(*draw(out))
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}: 8 training and 4 validation images\n"
    return out


def test_what_is_drawn_passes_the_check(shapes: Path) -> None:
    done = wsss_data("check", shapes)
    assert done.exit_code == 0
    assert "No problem." in done.stdout and "train" in done.stdout and "ring" in done.stdout
    assert "48×48 to 48×48" in done.stdout


def test_json_is_one_document_on_stdout(shapes: Path) -> None:
    report = json.loads(wsss_data("check", shapes, "--json").stdout)
    assert report["ok"] is True and report["splits"]["train"]["images"] == 8
    drawn = json.loads(wsss_data(*draw(shapes), "--json").stdout)
    assert drawn["out"] == str(shapes) and drawn["seed"] == 3 and drawn["train"] == 8


def test_bricks_are_written_and_checked(tmp_path: Path) -> None:
    counts = ("--train", 3, "--small", 1, "--val", 1, "--test", 1, "--size", 64)
    arguments = ("synth", "bricks", tmp_path / "walls", *counts)
    done = wsss_data(*arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'walls'}: 3 training, 1 validation and 7 test images\n"
    assert json.loads(wsss_data(*arguments, "--json").stdout)["small"] == 1
    for root in (tmp_path / "walls", tmp_path / "walls" / "dataset"):
        checked = wsss_data("check", root)
        assert checked.exit_code == 0 and "No problem." in checked.stdout
        assert "train-large-accurate" in checked.stdout and "images in both" not in checked.stdout
    wrong = wsss_data("synth", "bricks", tmp_path / "other", "--small", 3, "--train", 2)
    assert isinstance(wrong.exception, InvalidInput) and "small: 3 of 2 training images" in str(wrong.exception)


def test_many_splits_are_rows(tmp_path: Path) -> None:
    draw = ("synth", "bricks", tmp_path, "--train", 2, "--small", 1, "--val", 1, "--test", 1, "--size", 64)
    assert wsss_data(*draw).exit_code == 0
    table = wsss_data("check", tmp_path).stdout.splitlines()
    (row,) = (line for line in table if "train-large-noisy" in line and "│" in line)
    assert re.match(r"│ train-large-noisy +│ +2 │ +2 │ +2 │ +2 │ +\d+\.\d% │ +0\.0% │", row)


def test_keys_of_data_can_be_given(shapes: Path) -> None:
    arguments = ("check", shapes, "--layout", "folder", "--data", "classes=[ring, bars]", "--data", "data.splits=[val]")
    report = json.loads(wsss_data(*arguments, "--json").stdout)
    assert report["classes"] == ["ring", "bars"] and list(report["splits"]) == ["val"]


def test_a_broken_dataset_exits_with_2(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "broken"
    assert wsss_data("synth", "shapes", out, "--train", 15, "--val", 2, "--size", 32).exit_code == 0
    for path in sorted((out / "images").glob("train*"))[:12]:
        path.write_bytes(b"")
    done = wsss_data("check", out)
    assert done.exit_code == 2
    assert "PROBLEM: images that can't be read: 12" in done.stdout and "… and 2 more" in done.stdout
    assert "12 problems." in done.stdout
    done = wsss_data("check", out, "--json")
    assert done.exit_code == 2 and json.loads(done.stdout)["ok"] is False
    (out / "labels.csv").write_text("image_id,labels\nabsent,ring\n")
    done = wsss_data("check", out)
    assert done.exit_code == 2 and "labels.csv:2: image 'absent' is listed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "absent"), "absent is no folder"),
        (("check", ".", "--layout", "vox"), "unknown layout 'vox'"),
        (("check", ".", "--data", "classes"), "expected KEY=VALUE"),
        (("check", ".", "--data", "classes=[a"), "not valid YAML"),
        (("check", ".", "--layout", "folder", "--data", "sise=1"), "data.sise: unknown key"),
        (("synth", "shapes", "out", "--size", "7"), "size"),
        (("synth", "shapes", "out", "--classes", "9"), "classes"),
    ],
)
def test_wrong_usage_is_explained(arguments: tuple[str, ...], words: str) -> None:
    with CliRunner().isolated_filesystem():
        done = CliRunner().invoke(data, list(arguments))
    assert isinstance(done.exception, InvalidInput), done.output
    assert words in str(done.exception)


def test_help_tells_the_true_defaults() -> None:
    text = wsss_data("synth", "shapes", "--help").stdout
    for key, field in Config.model_fields.items():
        if key != "layout":
            found = re.search(rf"--{key} INTEGER.*?\((\d+)\)", text, re.DOTALL)
            assert found and int(found.group(1)) == field.default, key
