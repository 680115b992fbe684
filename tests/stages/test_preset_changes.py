"""Scores of changed presets do not state the preset alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from wsss.pipeline.config.resources import names, shipped
from wsss.refine.dense_crf import CrfConfig
from wsss.stages import STAGES
from wsss.stages.common.preset_changes import stated_preset
from wsss.validation import validate

PRESETS = [name.removeprefix("crf/") for name in names(shipped("configs")) if name.startswith("crf/")]


def settings(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((shipped("configs") / "crf" / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_stated_with_its_changes(name: str) -> None:
    def stated(**changes: Any) -> str:
        config = validate(STAGES["crf"].config, settings(name) | changes, where="crf")
        return stated_preset("crf", config.name, config, CrfConfig)

    assert stated() == stated(splits=["val"], clean={"components": 40}) == name
    assert stated(max_side=512) == f"{name} with max_side 512"
    assert stated(iterations=5, gauss_weight=0.5) == f"{name} with iterations 5, gauss_weight 0.5"


def test_other_names_are_stated_as_they_are() -> None:
    config = validate(STAGES["crf"].config, {"iterations": 5}, where="crf")
    assert stated_preset("crf", config.name, config, CrfConfig) == "custom"
    for name in ("mine", "../loss/ce_dice", "x" * 300):
        assert stated_preset("crf", name, config, CrfConfig) == name
