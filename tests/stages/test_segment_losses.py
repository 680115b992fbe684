"""Stage `segment` with every shipped loss, in full and mixed precision; late terms start at their step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from learning import run_stage

from wsss.data.dataset import Dataset
from wsss.losses.term import LossWithTerm
from wsss.pipeline.config.presets import with_presets
from wsss.pipeline.config.resources import names, shipped
from wsss.pipeline.config.source import read_yaml
from wsss.stages.segment import STAGE

PRESETS = [name for name in names(shipped("configs")) if name.startswith("loss/") and "topomortar" not in name]


def config_with(preset: str, **keys: Any) -> dict[str, Any]:
    loss = with_presets(read_yaml(next(shipped("configs").glob(f"{preset}.y*ml"))), where="segment").value["loss"]
    return {
        "head": "dynunet",
        "unet": {"levels": 3, "filters": [4, 8, 8], "deep_supervision": 0},
        "labels": "ground-truth",
        "steps": 4,
        "batch_size": 2,
        "augmentation": {"size": 32},
        "loss": {**loss, **keys},
    }


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_loss_trains(preset: str, precision: str, data: Dataset, tmp_path: Path) -> None:
    result = run_stage(STAGE, {**config_with(preset), "precision": precision}, tmp_path / "out", data)
    assert math.isfinite(result.metrics["train_loss"]) and result.metrics["train_loss"] > 0
    assert result.provenance["loss"] == preset.removeprefix("loss/")
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize(("active_from", "expected"), [(0.5, [False, False, True, True]), (3, [False] * 3 + [True])])
def test_a_late_term_starts_at_its_step(
    active_from: float, expected: list[bool], data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    forward = LossWithTerm.forward

    def watched(self: LossWithTerm, *arguments: Any) -> Any:
        seen.append(self.active)
        return forward(self, *arguments)

    monkeypatch.setattr(LossWithTerm, "forward", watched)
    config = config_with("loss/skeleton_recall", active_from=active_from)
    run_stage(STAGE, config, tmp_path / "out", data)
    assert seen == expected
