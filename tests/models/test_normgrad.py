"""NormGrad compared with the gradients of an inserted convolution whose weights differ at every position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning import random_classifier
from torch import Tensor

from wsss.models.attribution.gradients import frozen
from wsss.models.attribution.normgrad import norm_grad
from wsss.models.classifier import CAMClassifier, build_classifier
from wsss.models.config import ClassifierConfig, Layer

ALL = torch.ones(2, 3, dtype=torch.bool)


@pytest.fixture(scope="module")
def model() -> CAMClassifier:
    return random_classifier(pooling="lse").double()


@pytest.fixture(scope="module")
def batch() -> Tensor:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 24), dtype=np.uint8)
    return torch.from_numpy(images).double() / 255


def virtual_convolution(model: CAMClassifier, image: Tensor, class_index: int, layer: Layer) -> Tensor:
    """Norm of the gradient of each position's own identity convolution, one position at a time."""
    trunk = model.backbone
    low = trunk.low(model.normalise(image[None])).detach()
    features = low if layer == "low" else trunk.last(trunk.high(low)).detach()
    channels, height, width = features.shape[1:]
    norms = torch.zeros(height, width, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            weight = torch.eye(channels, dtype=torch.float64, requires_grad=True)
            entry = weight @ features[0, :, row, column]
            here = torch.zeros(1, 1, height, width, dtype=torch.float64)
            here[0, 0, row, column] = 1
            inserted = features * (1 - here) + entry[None, :, None, None] * here
            high = trunk.last(trunk.high(inserted)) if layer == "low" else inserted
            (gradient,) = torch.autograd.grad(model.pooling(model.head(high))[0, class_index], weight)
            norms[row, column] = gradient.norm()
    return norms * height * width


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["low", "features"])
def test_maps_are_the_gradients_of_an_inserted_convolution(model: CAMClassifier, batch: Tensor, layer: Layer) -> None:
    with frozen(model):
        (maps,) = norm_grad(model, batch, ALL, layer)
    for image, class_index in ((0, 2), (1, 0)):
        expected = virtual_convolution(model, batch[image], class_index, layer)
        torch.testing.assert_close(maps[image, class_index], expected, rtol=1e-6, atol=1e-12)


def test_maps_of_absent_classes_are_zero(model: CAMClassifier, batch: Tensor) -> None:
    selected = torch.tensor([[True, False, False], [False, False, True]])
    with frozen(model):
        (maps,) = norm_grad(model, batch, selected, "low")
    assert ((maps.amax((2, 3)) > 0) == selected).all()


def test_maps_of_pooled_features_differ_by_a_factor_only(batch: Tensor) -> None:
    torch.manual_seed(0)
    config = ClassifierConfig.model_validate({"backbone": {"name": "resnet18", "weights": "none"}, "pooling": "mean"})
    model = build_classifier(config, 3).eval().double()
    with frozen(model):
        (maps,) = norm_grad(model, batch, ALL, "features")
        (low,) = norm_grad(model, batch, ALL, "low")
    scaled, low_scaled = (each / each.amax((2, 3), keepdim=True) for each in (maps, low))
    torch.testing.assert_close(scaled[:, 0], scaled[:, 1])
    assert (low_scaled[:, 0] - low_scaled[:, 1]).abs().max() > 0.05
