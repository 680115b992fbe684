"""Settings that another setting leaves without effect are refused."""

from __future__ import annotations

from typing import Any

import pytest

from wsss.errors import InvalidInput
from wsss.stages import STAGES
from wsss.validation import validate

CASES: list[tuple[str, dict[str, Any], str, Any, str]] = [
    ("segment", {"head": "deeplabv3"}, "head_channels", 64, "head: lraspp"),
    ("segment", {"head": "lraspp"}, "atrous_rates", [6, 12], "head: deeplabv3"),
    ("segment", {"schedule": {"name": "constant"}}, "schedule.power", 2.0, "name: poly"),
    ("classify", {"schedule": {"name": "cosine"}}, "schedule.power", 2.0, "name: poly"),
    ("cam", {}, "threshold", 0.3, "classes: predicted"),
    ("crf", {"unary": "softmax"}, "label_probability", 0.9, "unary: labels"),
    ("propagate", {}, "colour_sigma", 5, "affinity: colour"),
    ("calibrate", {"foreground": 0.4}, "mask_split", "val", "foreground: null or ground-truth"),
    ("snap", {"segments": "sam"}, "superpixels", "slic", "segments: null"),
    ("snap", {"segments": "sam"}, "superpixel_size", 200, "segments: null"),
]
"""Stage, config, key without effect, its value, the setting that it requires."""

by_case = pytest.mark.parametrize(("stage", "config", "key", "value", "required"), CASES)


def with_key(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *outer, last = key.split(".")
    return config | ({outer[0]: config.get(outer[0], {}) | {last: value}} if outer else {last: value})


@by_case
def test_a_setting_without_effect_is_refused(
    stage: str, config: dict[str, Any], key: str, value: Any, required: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(STAGES[stage].config, with_key(config, key, value), where=stage, locate=lambda path: f"at {path[-1:]}")
    outer, _, last = key.rpartition(".")
    shown = value if isinstance(value, str) else str(value)
    assert error.value.subject == f"at ('{last}',): {'.'.join(filter(None, (stage, outer)))}"
    assert error.value.problem.startswith(f"{last}: ") and f"requires {required}, got " in error.value.problem
    assert shown.split(",")[0].rstrip("]") in error.value.problem


@by_case
def test_its_default_and_a_recorded_config_are_accepted(
    stage: str, config: dict[str, Any], key: str, value: Any, required: str
) -> None:
    model = STAGES[stage].config
    valid = validate(model, config, where=stage)
    default: Any = valid
    for part in key.split("."):
        default = getattr(default, part)
    assert validate(model, with_key(config, key, default), where=stage) == valid
    assert validate(model, valid.model_dump(mode="json"), where=stage) == valid


@by_case
def test_it_is_accepted_with_the_setting_that_it_requires(
    stage: str, config: dict[str, Any], key: str, value: Any, required: str
) -> None:
    name, _, choice = required.partition(": ")
    outer = key.rpartition(".")[0]
    if choice.startswith("null"):
        choice, config = None, {}
    fitting = with_key(config, ".".join(filter(None, (outer, name))), choice)
    validate(STAGES[stage].config, with_key(fitting, key, value), where=stage)
