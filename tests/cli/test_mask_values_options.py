"""``mask_values`` as an option of a stage, in a pipeline file, and set on top of one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from wsss.cli.main import cli
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png

VALUES = "{0: background, 255: road}"
PIPELINE = """
name: roads
data:
  layout: folder
  root: {root}
{values}
stages:
  net:
    uses: segment
    with: {{labels: ground-truth, steps: 1, backbone: {{name: mobilenet_v2, weights: none}}}}
  pred: {{uses: predict, needs: [net], with: {{splits: [val]}}}}
  score: {{uses: score, needs: [pred]}}
"""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def refusal(result: Result) -> str:
    assert isinstance(result.exception, InvalidInput) and result.exception.exit_code == 2 and result.stdout == ""
    return str(result.exception)


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    """Four images with masks of 0 and 255."""
    mask = np.zeros((12, 16), np.uint8)
    mask[:, 5:9] = 255
    for number in range(4):
        write_png(tmp_path / "roads" / "images" / f"r{number}.png", np.full((12, 16, 3), 50 * number, np.uint8))
        write_png(tmp_path / "roads" / "masks" / f"r{number}.png", mask)
        write_png(tmp_path / "empty" / f"r{number}.png", np.zeros((12, 16), np.uint8))
    (tmp_path / "roads" / "classes.txt").write_text("road\n")
    return tmp_path / "roads"


def score(roads: Path, *arguments: object) -> Result:
    return call("score", "--pred", roads.parent / "empty", "--data.root", roads, "--json", *arguments)


def test_a_score_is_refused_with_the_option_that_mends_it(roads: Path) -> None:
    message = refusal(score(roads))
    assert f"mask_values: {VALUES}" in message and f"--data.mask_values '{VALUES}'" in message
    repaired = score(roads, "--data.mask_values", VALUES)
    assert repaired.exit_code == 0 and json.loads(repaired.stdout)["iou"]["road"] == 0
    one_by_one = score(roads, "--data.mask_values.0", "background", "--data.mask_values.255", "road")
    assert json.loads(one_by_one.stdout) == json.loads(repaired.stdout)


def test_a_pipeline_is_refused_before_it_starts(roads: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "p.yaml", tmp_path / "run"
    file.write_text(PIPELINE.format(root=roads, values=""))
    message = refusal(call("run", file, "--run-dir", run, "--dry-run"))
    assert "segment: split 'train'" in message and "score: split 'val'" in message
    assert f"mask_values: {VALUES}" in message
    assert call("run", file, "--run-dir", run, "--dry-run", "--set", f"data.mask_values={VALUES}").exit_code == 0
    file.write_text(PIPELINE.format(root=roads, values=f"  mask_values: {VALUES}"))
    assert call("run", file, "--run-dir", run, "--dry-run").exit_code == 0


def test_a_mistake_names_its_line(roads: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(PIPELINE.format(root=roads, values="  mask_values: {0: background, 300: road}"))
    message = refusal(call("run", file, "--run-dir", tmp_path / "run", "--dry-run"))
    assert "p.yaml:6: data.mask_values: expected whole numbers from 0 to 255" in message
