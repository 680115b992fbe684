"""Errors for invalid ``model.json`` files and for weights that do not match them."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from learning import CLASSES
from safetensors.torch import load_file, save_file

from wsss.errors import InvalidInput
from wsss.io.rasters.pixel_values.reading import Reading
from wsss.io.weights import DESCRIPTION, WEIGHTS
from wsss.models.classifier import build_classifier, load_classifier, save_classifier
from wsss.models.config import ClassifierConfig, LocalWeights, Normalisation, SegmenterConfig
from wsss.models.segmentation_networks.segmenters import build_segmenter, load_reading, load_segmenter, save_segmenter
from wsss.validation import validate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a tiny classifier."""
    config = ClassifierConfig.model_validate({"convnet": {"widths": [4], "wide": 1}})
    save_classifier(tmp_path, build_classifier(config, len(CLASSES.foreground)), CLASSES)
    return tmp_path


@pytest.mark.parametrize(
    ("key", "value", "place", "named"),
    [
        ("mean", [0.5, 123.7, 0.5], ": mean", ""),
        ("mean", [0.5, float("nan"), 0.5], "", "NaN"),
        ("std", [0.2, 0.0, 0.2], ": std.1", ""),
        ("std", [58.4, 57.1, 57.4], ": std", ""),
        ("classes.names", ["background", "red", "red"], "", "classes.names: "),
        ("classes.names", ["background", "red"], "", "classes.values: "),
        ("classes.values", [[0], [40], [40]], "", "40"),
        ("classes.values", [[0], [40], [300]], "", "classes.values.2: "),
        ("classes.values", [[0], [40], []], "", "'green'"),
        ("classes.other_as", 7, "", "classes.other_as: "),
        ("initial_weights", {}, "", "initial_weights: "),
        ("colour", 1, ": colour", ""),
    ],
)
def test_invalid_descriptions(folder: Path, key: str, value: Any, place: str, named: str) -> None:
    description = json.loads((folder / DESCRIPTION).read_text())
    *parents, last = key.split(".")
    functools.reduce(operator.getitem, parents, description)[last] = value
    (folder / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(InvalidInput) as error:
        load_classifier(folder)
    assert error.value.subject == f"{folder / DESCRIPTION}{place}" and error.value.hint
    assert named in error.value.problem


def rename(weights: dict[str, torch.Tensor]) -> None:
    weights["tail.weight"] = weights.pop("head.weight")


def another_shape(weights: dict[str, torch.Tensor]) -> None:
    weights["head.weight"] = torch.zeros(3, 4, 1, 1)


def another_type(weights: dict[str, torch.Tensor]) -> None:
    weights["head.weight"] = weights["head.weight"].long()


@pytest.mark.parametrize(
    ("change", "tensors"),
    [
        (rename, ("1 missing: head.weight", "1 unknown: tail.weight")),
        (another_shape, ("head.weight (expected [2, 4, 1, 1], got [3, 4, 1, 1])",)),
        (another_type, ("head.weight (expected torch.float32, got torch.int64)",)),
    ],
)
def test_weights_of_another_network(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], tensors: tuple[str, ...]
) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(InvalidInput) as error:
        load_classifier(folder)
    assert error.value.subject == str(folder / WEIGHTS) and error.value.hint
    assert all(tensor in error.value.problem for tensor in tensors)


@pytest.mark.parametrize("model", [LocalWeights, Normalisation])
def test_normalisation_for_0_to_255(model: Any) -> None:
    keys = {"mean": [123.7, 116.3, 103.5]} | ({"path": "w.pth"} if model is LocalWeights else {})
    with pytest.raises(InvalidInput) as error:
        validate(model, keys, where="weights")
    assert error.value.subject == "weights.mean"


def test_conversion_of_the_training_images(tmp_path: Path) -> None:
    config = SegmenterConfig.model_validate({"backbone": {"weights": "none"}})
    network, reading = build_segmenter(config, len(CLASSES)), Reading((0.5, 4095), 2, (3, 2, 1))
    save_segmenter(tmp_path, network, CLASSES, reading)
    load_segmenter(tmp_path)
    assert load_reading(tmp_path) == reading
    content = json.loads((tmp_path / DESCRIPTION).read_text())
    assert content["reading"] == {"scaling": [0.5, 4095], "page": 2, "bands": [3, 2, 1]}
    for value in ({"scaling": "max"}, {"scaling": [2, 1]}, {"bands": [0]}, {"gain": 2}):
        (tmp_path / DESCRIPTION).write_text(json.dumps({**content, "reading": value}))
        with pytest.raises(InvalidInput) as error:
            load_reading(tmp_path)
        assert error.value.subject == str(tmp_path / DESCRIPTION) and "reading" in error.value.problem
