"""Incomplete inputs are refused before the folder of a finished stage is emptied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from learning import SMALL_TRAINING, coloured_dataset, contents, write_maps
from onethread import one_thread

from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.stage import Artifact
from wsss.stages import STAGES

__all__ = ["one_thread"]  # a fixture of every test here

SEGMENTING = {"steps": 1, "batch_size": 2, "backbone": SMALL_TRAINING["backbone"], "precision": "32-true"}
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("pseudo", {}, "cams"),
    ("sweep", {"split": "train"}, "cams"),
    ("average", {"splits": ["train"]}, "cams"),
    ("crf", {}, "masks"),
    ("segment", SEGMENTING, "masks"),
]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=4, val=1)


@pytest.fixture
def inputs(tmp_path: Path, data: Dataset) -> dict[str, Path]:
    """Maps, and pseudo masks computed from them."""
    torch.set_num_threads(1)
    cams = write_maps(tmp_path / "maps", data, step=1)
    stage = STAGES["pseudo"]
    run_stage(stage, stage.config(), out=tmp_path / "seeds", inputs={"cams": Artifact(cams)}, data=data)
    return {"cams": cams, "masks": tmp_path / "seeds"}


@pytest.mark.parametrize(("name", "config", "needs"), CASES, ids=[case[0] for case in CASES])
def test_a_finished_folder_is_kept(
    name: str, config: dict[str, Any], needs: str, tmp_path: Path, data: Dataset, inputs: dict[str, Path]
) -> None:
    stage, out = STAGES[name], tmp_path / "out"

    def run(folder: Path) -> None:
        artifact = Artifact(folder, id="external")
        artifacts = {needs: (artifact,) if stage.inputs[needs].many else artifact}
        run_stage(stage, stage.config.model_validate(config), out=out, inputs=artifacts, data=data)

    run(inputs[needs])
    (tmp_path / "empty").mkdir()
    before = contents(out)
    with pytest.raises(InvalidInput) as error:
        run(tmp_path / "empty")
    assert str(error.value.subject).endswith(str(tmp_path / "empty"))
    assert "4 of 4 images" in error.value.problem and "train0, train1, train2, train3" in error.value.problem
    assert contents(out) == before
    assert json.loads((out / "stage.json").read_text())["status"] == "done"


def test_masks_without_a_policy_are_refused_beside_maps(tmp_path: Path, data: Dataset, inputs: dict[str, Path]) -> None:
    stage, out = STAGES["crf"], tmp_path / "out"
    artifacts = {name: Artifact(folder, id=name) for name, folder in inputs.items()}
    run_stage(stage, stage.config(), out=out, inputs=artifacts, data=data)
    before = contents(out)
    (inputs["masks"] / "policy.json").unlink()
    with pytest.raises(InvalidInput) as error:
        run_stage(stage, stage.config(), out=out, inputs=artifacts, data=data, force=True)
    assert "'out'" in str(error.value.subject) and str(error.value.subject).endswith(str(inputs["masks"]))
    assert "policy.json" in error.value.problem
    assert contents(out) == before
