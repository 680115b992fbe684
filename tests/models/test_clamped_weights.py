"""Maps without the negative weights of the classifier (``clamp_weights``), against three independent computations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from learning import classifier_with_samplers, noise_pictures, random_classifier
from torch.testing import assert_close

from wsss.models.attribution.class_scores import class_score_function
from wsss.models.attribution.config import LayerCamConfig
from wsss.models.attribution.maps import attribution_maps
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.classifier import CAMClassifier

VIEWS: dict[str, Any] = {"scales": (1.0, 0.5), "flip": True, "stride": 4}


def both() -> list[bool]:
    """Clamp the weights for both of two images."""
    return [True, True]


@pytest.fixture
def model() -> CAMClassifier:
    model = random_classifier("mobilenet_v2")
    assert (model.head.weight < 0).any()
    return model


def test_probabilities_are_those_of_all_weights(model: CAMClassifier) -> None:
    images = noise_pictures()
    plain, clamped = (class_maps(model, images, clamp=clamp, **VIEWS) for clamp in (None, both))
    assert_close(clamped.probabilities, plain.probabilities, rtol=1e-5, atol=1e-6)
    assert (clamped.maps >= plain.maps - 1e-5).all()
    assert not torch.allclose(clamped.maps, plain.maps, rtol=1e-2)


def test_maps_are_those_of_a_classifier_without_negative_weights(model: CAMClassifier) -> None:
    images = noise_pictures()
    clamped = class_maps(model, images, clamp=both, **VIEWS).maps
    with torch.no_grad():
        model.head.weight.clamp_(min=0)
    assert_close(clamped, class_maps(model, images, **VIEWS).maps, rtol=1e-5, atol=1e-6)


def positive_sum(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sum, per class, of features with positive weight: ``(B, K, h, w)``, channel by channel."""
    total = torch.zeros(len(features), len(weights), *features.shape[2:])
    for row, weight in enumerate(weights[:, :, 0, 0]):
        for channel in torch.nonzero(weight > 0)[:, 0].tolist():
            total[:, row] += weight[channel] * features[:, channel]
    return total


@torch.no_grad()
def test_scores_are_weighted_sums_of_features(model: CAMClassifier) -> None:
    pixels = torch.from_numpy(noise_pictures()).permute(0, 3, 1, 2)
    scores = class_score_function(model, "32-true", pixels.device, clamp_weights=True)(pixels)
    features, weights = model.features(pixels), model.head.weight
    assert_close(scores[:, :3], model.maps(features), rtol=1e-5, atol=1e-6)
    assert_close(scores[:, 3:], positive_sum(features, weights), rtol=1e-4, atol=1e-5)


def test_each_image_by_itself(model: CAMClassifier) -> None:
    images = noise_pictures()
    plain, clamped = (class_maps(model, images, clamp=clamp, **VIEWS).maps for clamp in (None, both))
    second = class_maps(model, images, clamp=lambda: [False, True], **VIEWS).maps
    assert_close(second, torch.stack([plain[0], clamped[1]]), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(plain, clamped, rtol=1e-2)


def test_only_selected_classes(model: CAMClassifier) -> None:
    images = noise_pictures()
    every = class_maps(model, images, clamp=both, **VIEWS).maps
    chosen = class_maps(model, images, clamp=both, select=lambda _: [1], **VIEWS).maps
    assert_close(chosen, every[:, [1]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("placement", ["bottleneck", "features"])
def test_with_samplers_they_equal_layercam(placement: str) -> None:
    model = classifier_with_samplers(placement, "mean")
    images, selected = noise_pictures(), torch.ones(2, 3, dtype=torch.bool)
    layercam = attribution_maps(model, images, selected, LayerCamConfig(), **VIEWS)
    clamped = class_maps(model, images, clamp=both, **VIEWS).maps
    assert_close(clamped, layercam, rtol=1e-4, atol=1e-4 * float(layercam.max()))


@torch.no_grad()
def test_the_larger_of_two_samplers_with_positive_weights() -> None:
    model = classifier_with_samplers("features", "max")
    pixels = torch.from_numpy(noise_pictures()).permute(0, 3, 1, 2)
    scores = class_score_function(model, "32-true", pixels.device, clamp_weights=True)(pixels)[:, 3:]
    paths = [positive_sum(path, model.head.weight) for path in model.samplers.paths(model.features(pixels))]
    assert len(paths) == 2 and not torch.allclose(paths[0], paths[1])
    assert_close(scores, torch.maximum(*paths), rtol=1e-3, atol=1e-3 * float(scores.max()))


def test_in_bfloat16(model: CAMClassifier) -> None:
    images = noise_pictures(2, 64, 48)
    exact, rough = (
        class_maps(model, images, clamp=both, precision=precision, **VIEWS).maps
        for precision in ("32-true", "bf16-mixed")
    )
    assert rough.dtype == torch.float32
    assert_close(rough, exact, rtol=0.1, atol=0.05 * float(exact.max()))
