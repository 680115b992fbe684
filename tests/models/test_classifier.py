from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from learning import CLASSES

from wsss.errors import InvalidInput
from wsss.models.classifier import Pooling, build_classifier, load_classifier, save_classifier
from wsss.models.config import ClassifierConfig
from wsss.models.segmentation_networks.segmenters import load_segmenter

CONFIG = ClassifierConfig.model_validate({"backbone": {"name": "resnet18", "weights": "none"}})


def test_poolings_against_hand_computed_values() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, -4.0]]]])
    assert Pooling("mean")(maps).item() == pytest.approx(0.5)
    assert Pooling("max")(maps).item() == 3.0
    assert Pooling("topk", fraction=0.5)(maps).item() == pytest.approx(2.5)
    assert Pooling("topk", fraction=0.01)(maps).item() == 3.0  # one position at least
    expected = math.log(sum(math.exp(2 * value) for value in (1, 2, 3, -4)) / 4) / 2
    assert Pooling("lse", sharpness=2.0)(maps).item() == pytest.approx(expected, rel=1e-6)


def test_log_sum_exp_lies_between_mean_and_maximum() -> None:
    maps = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    flat, sharp = Pooling("lse", sharpness=1e-3)(maps), Pooling("lse", sharpness=500.0)(maps)
    torch.testing.assert_close(flat, maps.mean((2, 3)), atol=2e-3, rtol=0)
    torch.testing.assert_close(sharp, maps.amax((2, 3)), atol=1e-2, rtol=0)


def test_mean_pooling_is_a_linear_classifier_of_pooled_features() -> None:
    torch.manual_seed(0)
    model = build_classifier(CONFIG, 3).eval()
    image = torch.rand(2, 3, 64, 48)
    features = model.features(image)
    linear = features.mean((2, 3)) @ model.head.weight[:, :, 0, 0].T
    torch.testing.assert_close(model(image), linear, rtol=1e-4, atol=1e-5)
    assert model.head.bias is None
    assert model.maps(features).shape == (2, 3, 4, 3)


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = build_classifier(CONFIG, 2).eval()
    save_classifier(tmp_path / "c", model, CLASSES)
    loaded, classes = load_classifier(tmp_path / "c")
    image = torch.rand(1, 3, 40, 40)
    assert torch.equal(loaded(image), model(image))
    assert classes == CLASSES
    assert not loaded.training
    description = json.loads((tmp_path / "c" / "model.json").read_text())
    assert description["config"]["backbone"]["name"] == "resnet18"
    assert description["config"]["backbone"]["output_stride"] == 16
    assert description["config"]["pooling"] == "mean"
    assert description["channels"] == 512
    assert description["initial_weights"] == {"name": "none"}
    np.testing.assert_allclose(description["mean"], [0.485, 0.456, 0.406])


def test_invalid_folders(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        load_classifier(tmp_path)
    save_classifier(tmp_path, build_classifier(CONFIG, 2), CLASSES)
    with pytest.raises(InvalidInput) as error:
        load_segmenter(tmp_path)
    assert (error.value.subject, error.value.allowed, error.value.found) == (str(tmp_path), "a segmenter", "classifier")
    description = json.loads((tmp_path / "model.json").read_text())
    description["config"]["backbone"]["name"] = "mobilenet_v2"
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(InvalidInput) as error:
        load_classifier(tmp_path)
    assert error.value.subject == str(tmp_path / "model.safetensors")
    del description["classes"]
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(InvalidInput) as error:
        load_classifier(tmp_path)
    assert str(error.value.subject).startswith(str(tmp_path / "model.json"))
