"""Scores of changed presets do not state the preset alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from wsss.pipeline.config.resources import names, shipped
from wsss.stages.crf import CrfStageConfig, stated_preset
from wsss.validation import validate

PRESETS = [name.removeprefix("crf/") for name in names(shipped("configs")) if name.startswith("crf/")]


def settings(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((shipped("configs") / "crf" / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_stated_with_its_changes(name: str) -> None:
    def stated(**changes: Any) -> str:
        return stated_preset(validate(CrfStageConfig, settings(name) | changes, where="crf"))

    assert stated() == stated(splits=["val"], clean={"components": 40}) == name
    assert stated(max_side=512) == f"{name} with max_side 512"
    assert stated(iterations=5, gauss_weight=0.5) == f"{name} with iterations 5, gauss_weight 0.5"


def test_other_names_are_stated_as_they_are() -> None:
    assert stated_preset(validate(CrfStageConfig, {"iterations": 5}, where="crf")) == "custom"
    for name in ("mine", "../loss/ce_dice", "x" * 300):
        assert stated_preset(validate(CrfStageConfig, {"iterations": 5, "name": name}, where="crf")) == name
