"""Settings of a new pipeline for the number and the size of the images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from wsss.data.importers.pipeline_text import Setting, pipeline_text
from wsss.data.importers.training_recipe import choose_recipe


def stages(sides: list[int], weights: str) -> dict[str, Any]:
    """Return the stages of the pipeline for images with these longer sides."""
    recipe = choose_recipe(len(sides), sides, pretrained=weights != "none")
    setting = Setting("a", "d", Path("r"), Path("i"), None, ["train", "val"], None, weights, recipe)
    made: dict[str, Any] = yaml.safe_load(pipeline_text(setting))["stages"]
    return made


def test_settings_follow_the_data() -> None:
    few, some, many = (choose_recipe(count, [500] * 3, pretrained=True) for count in (3, 519, 10_582))
    assert (few.batch, some.batch) == (2, 16)
    assert few.classify_epochs > some.classify_epochs > many.classify_epochs == 5
    assert some.classify_epochs * 519 / 16 == pytest.approx(300, rel=0.1)
    assert choose_recipe(519, [500], pretrained=False).classify_epochs > some.classify_epochs
    large, small = choose_recipe(519, [4000], pretrained=True), choose_recipe(519, [96], pretrained=True)
    assert [one.train_scales for one in (large, some, small)] == [(0.25, 0.62), (0.5, 1.25), (0.8, 1.25)]
    assert small.small and small.classify_crop == small.segment_crop == 96 and large.segment_crop == 256
    assert choose_recipe(1, [7], pretrained=True).classify_crop == 32
    assert (some.boundary_batch, some.boundary_epochs, some.boundary_crop, some.boundary_scale) == (4, 4, 320, 1)
    assert (few.boundary_batch, large.boundary_scale, choose_recipe(9, [230], pretrained=True).boundary_crop) == (
        2,
        0.5,
        224,
    )


@pytest.mark.parametrize("weights", ["imagenet", "none"])
def test_large_photographs_get_working_sizes(weights: str) -> None:
    """The scales of training are relative to the reduced images."""

    large, usual, mixed = (
        {name: entry["with"] for name, entry in stages(sides, weights).items()}
        for sides in ([4000] * 9, [500] * 9, [600] * 8 + [6000])
    )
    for name in ("classify", "expand", "shrink", "segment"):
        assert large[name]["max_side"] == mixed[name]["max_side"] == 1000 and "max_side" not in usual[name]
    for of in (large, usual, mixed):
        assert (of["cam"]["max_side"], of["crf"]["max_side"], of["predict"]["max_side"]) == (500, 1024, 500)
    assert large["segment"]["augmentation"]["scale"] == [0.25, 0.62]
    assert usual["segment"]["augmentation"]["scale"] == [0.5, 1.25]
    assert mixed["segment"]["augmentation"]["scale"] == [0.42, 1.04]


@pytest.mark.parametrize(
    ("weights", "side", "walks"),
    [("imagenet", 500, True), ("imagenet-wheel", 500, True), ("imagenet", 96, False), ("none", 500, False)],
)
def test_maps_of_pretrained_networks_on_photographs_are_clamped_and_walk(weights: str, side: int, walks: bool) -> None:
    made = stages([side] * 9, weights)
    added = {"pseudo-sure", "crf-sure", "affinity", "propagate"}
    assert added & set(made) == (added if walks else set())
    maps = "propagate" if walks else "cam"
    assert (made["pseudo"]["needs"], made["crf"]["needs"]) == ([maps], ["pseudo", maps])
    assert {"crf-sure", "affinity", "propagate"} & set(made["report"]["needs"]) == (
        added - {"pseudo-sure"} if walks else set()
    )
    clamped = {"name": "cam", "clamp_weights": "single-class"}
    assert made["cam"]["with"].get("method") == (clamped if walks else None)
    wheel = {"name": "timm/tf_efficientnet_lite0", "weights": "imagenet-wheel"}
    backbone = made["classify"]["with"]["backbone"]
    assert ({key: backbone[key] for key in wheel} == wheel) == (weights == "imagenet-wheel")


@pytest.mark.parametrize("calibrate", [False, True])
def test_calibration_of_the_network(calibrate: bool) -> None:
    recipe = choose_recipe(500, [500] * 500, pretrained=True)
    setting = Setting("a", "d", Path("r"), Path("i"), None, ["train", "val"], None, "imagenet", recipe)
    made = yaml.safe_load(pipeline_text(replace(setting, calibrate=calibrate)))["stages"]
    assert made["predict"]["needs"] == (["calibrate"] if calibrate else ["segment"])
    assert ("calibrate" in made) == ("calibrate" in made["report"]["needs"]) == calibrate
    if calibrate:
        views = made["calibrate"]["with"]
        assert views.pop("splits") == ["val"]
        assert views == {key: value for key, value in made["predict"]["with"].items() if key != "splits"}
