"""Defaults of nested settings: what a config does not set keeps the default of its stage."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from wsss.errors import InvalidInput
from wsss.pipeline.stage import StageConfig
from wsss.stages import STAGES
from wsss.train.config import SGDConfig
from wsss.validation import validate


def config_of(stage: str, values: dict[str, Any]) -> Any:
    return validate(STAGES[stage].config, values, where=stage)


def nested(config: BaseModel) -> dict[str, BaseModel]:
    return {key: value for key, value in config if isinstance(value, BaseModel)}


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_default_written_explicitly_changes_no_other(stage: str) -> None:
    """For each nested setting alone: without its siblings, and without their ``name``."""
    default = config_of(stage, {})
    for key, inner in nested(default).items():
        for name, value in inner.model_dump().items():
            assert config_of(stage, {key: {name: value}}) == default, f"{key}.{name}"


def test_one_changed_setting_keeps_the_others_of_the_stage() -> None:
    augmentation = config_of("affinity", {"augmentation": {"size": 256}}).augmentation
    assert (augmentation.size, augmentation.scale, augmentation.colour) == (256, (1.0, 1.0), None)
    for stage in ("affinity", "expand", "shrink"):
        for values in ({"name": "adamw", "lr": 5e-4}, {"lr": 5e-4}):
            optimiser = config_of(stage, {"optimiser": values}).optimiser
            assert optimiser == config_of(stage, {}).optimiser.model_copy(update={"lr": 5e-4}), stage
    sampler = config_of("shrink", {"sampler": {"reduction": 64}}).sampler
    assert (sampler.reduction, sampler.max_offset, sampler.clip) == (64, 0.5, 0.9)


def test_another_kind_has_its_own_defaults() -> None:
    assert config_of("affinity", {"optimiser": {"name": "sgd"}}).optimiser == SGDConfig()


def test_a_config_and_null_replace_the_default() -> None:
    colour = {"hue": 0.1}
    assert config_of("affinity", {"augmentation": {"colour": colour}}).augmentation.colour.hue == 0.1
    assert config_of("affinity", {"optimiser": SGDConfig(lr=1)}).optimiser == SGDConfig(lr=1)
    assert config_of("expand", {"sampler": None}).sampler is None


def test_settings_of_another_kind_require_its_name() -> None:
    with pytest.raises(InvalidInput) as error:
        config_of("expand", {"optimiser": {"momentum": 0.5}})
    assert error.value.subject == "expand.optimiser.name" and "sgd" in str(error.value.allowed)


class Outer(StageConfig):
    class Middle(BaseModel):
        class Inner(BaseModel):
            low: int = 1
            high: int = 2

        inner: Inner = Inner()
        count: int = 3

    middle: Middle = Middle(inner=Middle.Inner(low=10), count=30)


def test_defaults_are_kept_at_every_depth() -> None:
    middle = validate(Outer, {"middle": {"inner": {"high": 20}}}, where="").middle
    assert (middle.inner.low, middle.inner.high, middle.count) == (10, 20, 30)
