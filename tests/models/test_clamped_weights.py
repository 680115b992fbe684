"""Maps without the negative weights of the classifier (``clamp_weights``), against three independent computations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from learning import noise_pictures, random_classifier
from torch.testing import assert_close

from wsss.models.attribution.config import LayerCamConfig
from wsss.models.attribution.maps import attribution_maps
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.backbones import build_backbone
from wsss.models.classifier import CAMClassifier
from wsss.models.config import BackboneConfig, TrainedClassifierConfig

VIEWS: dict[str, Any] = {"scales": (1.0, 0.5), "flip": True, "stride": 4}


@pytest.fixture
def model() -> CAMClassifier:
    model = random_classifier("mobilenet_v2")
    assert (model.head.weight < 0).any()
    return model


def test_probabilities_are_those_of_all_weights(model: CAMClassifier) -> None:
    images = noise_pictures()
    plain, clamped = (class_maps(model, images, clamp_weights=clamp, **VIEWS) for clamp in (False, True))
    assert_close(clamped.probabilities, plain.probabilities, rtol=1e-5, atol=1e-6)
    assert (clamped.maps >= plain.maps - 1e-5).all()
    assert not torch.allclose(clamped.maps, plain.maps, rtol=1e-2)


def test_maps_are_those_of_a_classifier_without_negative_weights(model: CAMClassifier) -> None:
    images = noise_pictures()
    clamped = class_maps(model, images, clamp_weights=True, **VIEWS).maps
    with torch.no_grad():
        model.head.weight.clamp_(min=0)
    assert_close(clamped, class_maps(model, images, **VIEWS).maps, rtol=1e-5, atol=1e-6)


def test_maps_are_weighted_sums_of_features(model: CAMClassifier) -> None:
    images = noise_pictures()
    views: dict[str, Any] = {"scales": (1.0,), "flip": False, "stride": 16}
    clamped = class_maps(model, images, clamp_weights=True, **views).maps
    with torch.no_grad():
        features = model.features(torch.from_numpy(images).permute(0, 3, 1, 2))
    weights = model.head.weight.detach()[:, :, 0, 0]
    expected = torch.zeros(len(images), len(weights), *features.shape[2:])
    for row, weight in enumerate(weights):
        for channel in torch.nonzero(weight > 0)[:, 0].tolist():
            expected[:, row] += weight[channel] * features[:, channel]
    # Elements of a map are centred between features; means over the map are those of the features nearly everywhere.
    assert_close(clamped.mean((2, 3)), expected.mean((2, 3)), rtol=0.05, atol=1e-4)


def test_only_selected_classes(model: CAMClassifier) -> None:
    images = noise_pictures()
    every = class_maps(model, images, clamp_weights=True, **VIEWS).maps
    chosen = class_maps(model, images, clamp_weights=True, select=lambda _: [1], **VIEWS).maps
    assert_close(chosen, every[:, [1]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("placement", "merge"), [("bottleneck", "mean"), ("features", "max")])
def test_with_samplers_they_equal_layercam(placement: str, merge: str) -> None:
    torch.manual_seed(0)
    sampler = {"offset_init": 0.5}
    sampling = {"placement": placement, "expansion": sampler, "shrinkage": sampler | {"clip": 0.5}, "merge": merge}
    if merge == "max":
        del sampling["shrinkage"]
    config = {"backbone": {"name": "mobilenet_v2", "weights": "none"}, "sampling": sampling}
    backbone, origin = build_backbone(BackboneConfig.model_validate(config["backbone"]))
    model = CAMClassifier(TrainedClassifierConfig.model_validate(config), backbone, origin, 3).eval()
    torch.nn.init.normal_(model.head.weight)
    images, selected = noise_pictures(), torch.ones(2, 3, dtype=torch.bool)
    layercam = attribution_maps(model, images, selected, LayerCamConfig(), **VIEWS)
    clamped = class_maps(model, images, clamp_weights=True, **VIEWS).maps
    assert_close(clamped, layercam, rtol=1e-4, atol=1e-4 * float(layercam.max()))


def test_in_bfloat16(model: CAMClassifier) -> None:
    images = noise_pictures(1, 64, 48)
    exact, rough = (
        class_maps(model, images, clamp_weights=True, precision=precision, **VIEWS).maps
        for precision in ("32-true", "bf16-mixed")
    )
    assert rough.dtype == torch.float32
    assert_close(rough, exact, rtol=0.1, atol=0.05 * float(exact.max()))
