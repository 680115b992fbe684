"""``mask_values`` as an option of a stage, in a pipeline file, and with ``--set``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from inprocess import document, refused, succeed

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
    with: {{labels: ground-truth, steps: 1, backbone: {{name: timm/test_resnet, weights: none}}}}
  pred: {{uses: predict, needs: [net], with: {{splits: [val]}}}}
  score: {{uses: score, needs: [pred]}}
"""


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    """A dataset of four images with masks of 0 and 255."""
    mask = np.zeros((12, 16), np.uint8)
    mask[:, 5:9] = 255
    for number in range(4):
        write_png(tmp_path / "roads" / "images" / f"r{number}.png", np.full((12, 16, 3), 50 * number, np.uint8))
        write_png(tmp_path / "roads" / "masks" / f"r{number}.png", mask)
        write_png(tmp_path / "empty" / f"r{number}.png", np.zeros((12, 16), np.uint8))
    (tmp_path / "roads" / "classes.txt").write_text("road\n")
    return tmp_path / "roads"


def test_hint_of_a_score_repairs_it(roads: Path) -> None:
    score = ("score", "--pred", roads.parent / "empty", "--data.root", roads)
    message = refused(*score)
    assert f"mask_values: {VALUES}" in message and f"--data.mask_values '{VALUES}'" in message
    repaired = document(*score, "--data.mask_values", VALUES)
    assert repaired["iou"]["road"] == 0
    assert document(*score, "--data.mask_values.0", "background", "--data.mask_values.255", "road") == repaired


def test_pipeline_is_refused_before_it_starts(roads: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    run = ("run", file, "--run-dir", tmp_path / "run", "--dry-run")
    file.write_text(PIPELINE.format(root=roads, values=""))
    message = refused(*run)
    assert "'train'" in message and "'val'" in message and f"mask_values: {VALUES}" in message
    succeed(*run, "--set", f"data.mask_values={VALUES}")
    file.write_text(PIPELINE.format(root=roads, values=f"  mask_values: {VALUES}"))
    succeed(*run)
    file.write_text(PIPELINE.format(root=roads, values="  mask_values: {0: background, 300: road}"))
    assert "p.yaml:6: data.mask_values: " in refused(*run)
