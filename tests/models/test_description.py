"""``model.json`` and weights that don't fit it: one clear error for each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from learning import CLASSES
from safetensors.torch import load_file, save_file

from wsss.errors import InvalidInput
from wsss.io.weights import DESCRIPTION, WEIGHTS
from wsss.models.classifier import build_classifier, load_classifier, save_classifier
from wsss.models.config import ClassifierConfig, LocalWeights, Normalisation
from wsss.validation import validate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The smallest classifier."""
    config = ClassifierConfig.model_validate({"convnet": {"widths": [4], "wide": 1}})
    save_classifier(tmp_path, build_classifier(config, len(CLASSES.foreground)), CLASSES)
    return tmp_path


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(description: dict[str, Any]) -> None:
        *parents, last = key.split(".")
        for one in parents:
            description = description[one]
        description[last] = value

    return change


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("mean", [0.5, 123.7, 0.5], r"mean: expected numbers for pixel values in \[0, 1\].*divide"),
        ("mean", [0.5, float("nan"), 0.5], "not valid JSON .expected a finite number, got NaN"),
        ("std", [0.2, 0.0, 0.2], r"std\.1: expected a number above 0, got 0\.0"),
        ("std", [58.4, 57.1, 57.4], "std: expected numbers for pixel values"),
        ("classes.names", ["background", "red", "red"], "classes.names: expected each name once, got 'red'"),
        ("classes.names", ["background", "red"], "classes.values: expected 2 lists, one for each name, got 3"),
        ("classes.values", [[0], [40], [40]], "mask value 40 stands for several classes"),
        ("classes.values", [[0], [40], [300]], r"classes\.values\.2: expected a list of mask values from 0 to 255"),
        ("classes.values", [[0], [40], []], "no mask value for 'green'"),
        ("classes.other_as", 7, "classes.other_as: expected 0 or 255, got 7"),
        ("initial_weights", {}, "initial_weights: expected the key name"),
        ("colour", 1, "colour: unknown key"),
    ],
)
def test_a_description_out_of_range_is_refused(folder: Path, key: str, value: Any, words: str) -> None:
    description = json.loads((folder / DESCRIPTION).read_text())
    put(key, value)(description)
    (folder / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(InvalidInput, match=words) as caught:
        load_classifier(folder)
    assert str(folder / DESCRIPTION) in caught.value.message and caught.value.hint


def rename(weights: dict[str, torch.Tensor]) -> None:
    weights["tail.weight"] = weights.pop("head.weight")


def another_shape(weights: dict[str, torch.Tensor]) -> None:
    weights["head.weight"] = torch.zeros(3, 4, 1, 1)


def another_type(weights: dict[str, torch.Tensor]) -> None:
    weights["head.weight"] = weights["head.weight"].long()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rename, "1 missing: head.weight; 1 unknown: tail.weight"),
        (another_shape, r"1 of another shape: head.weight \(expected \[2, 4, 1, 1\], got \[3, 4, 1, 1\]\)"),
        (another_type, r"1 of another type: head.weight \(expected torch.float32, got torch.int64\)"),
    ],
)
def test_weights_of_another_network_are_named(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], words: str
) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(InvalidInput, match=words) as caught:
        load_classifier(folder)
    assert str(folder / WEIGHTS) in caught.value.message and caught.value.hint


@pytest.mark.parametrize("model", [LocalWeights, Normalisation])
def test_a_normalisation_for_0_to_255_is_refused(model: Any) -> None:
    given = {"mean": [123.7, 116.3, 103.5]} | ({"path": "w.pth"} if model is LocalWeights else {})
    with pytest.raises(InvalidInput, match=r"weights\.mean: .*divide those for 0…255 by 255"):
        validate(model, given, where="weights")
