"""Grad-CAM++ and LayerCAM compared with autograd, the papers' formulas and hand-computed values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learning import noise_pictures, random_classifier
from torch import Tensor

from wsss.models.attribution.config import GradCamPlusPlusConfig, LayerCamConfig
from wsss.models.attribution.gradcam import channel_weights, gradcam_plus_plus
from wsss.models.attribution.gradients import LayerGradients, class_slots, frozen, layer_stride
from wsss.models.attribution.layercam import fuse, layer_cam
from wsss.models.attribution.maps import attribution_maps
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.classifier import CAMClassifier

ARCHITECTURES = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large")
ALL = torch.ones(2, 3, dtype=torch.bool)


@pytest.fixture(scope="module")
def model() -> CAMClassifier:
    return random_classifier()


def as_batch(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def separate_gradients(model: CAMClassifier, batch: Tensor, image: int, class_index: int) -> dict[str, Any]:
    """Features and gradients of a single image, without hooks."""
    trunk = model.backbone
    low = trunk.low(model.normalise(batch[image : image + 1]))
    low.retain_grad()
    high = trunk.last(trunk.high(low))
    high.retain_grad()
    maps = torch.einsum("bchw,kc->bkhw", high, model.head.weight[:, :, 0, 0])
    model.pooling(maps)[0, class_index].backward()
    layers = {"low": (low.detach()[0], low.grad[0]), "features": (high.detach()[0], high.grad[0])}
    model.zero_grad(set_to_none=True)
    return layers


@pytest.mark.parametrize(
    "name", ["resnet18", *(pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES if name != "resnet18")]
)
def test_gradients_equal_those_of_single_images(name: str) -> None:
    model, batch = random_classifier(name).double(), as_batch(noise_pictures()).double() / 255
    alone = {(image, index): separate_gradients(model, batch, image, index) for image, index in ((0, 2), (1, 0))}
    with frozen(model):
        for layers in (("low",), ("features",), ("low", "features"), ("features", "low")):
            computed = LayerGradients(model, batch, layers)
            rows, classes = torch.tensor([0, 1]), torch.tensor([2, 0])
            gradients = computed.of(rows, classes)
            assert len(gradients) == len(computed.features) == len(layers)
            for (image, _), expected in alone.items():
                for layer, features, gradient in zip(layers, computed.features, gradients, strict=True):
                    torch.testing.assert_close(features[image], expected[layer][0])
                    torch.testing.assert_close(gradient[image], expected[layer][1])


def test_lower_layers_are_not_in_the_graph(model: CAMClassifier) -> None:
    with frozen(model):
        computed = LayerGradients(model, as_batch(noise_pictures()), ["features"])
        assert all(node.is_leaf for nodes in computed._nodes.values() for node in nodes)
        computed = LayerGradients(model, as_batch(noise_pictures()), ["features", "low"])
        assert [node.is_leaf for nodes in computed._nodes.values() for node in nodes] == [False, True]
    assert not model.backbone.low._forward_hooks
    assert not model.head._forward_pre_hooks


def test_channel_weights_by_hand() -> None:
    # ΣA = 4, so α = g²/(2g² + 4g³): 1/4 for g = ½, 1/8 for g = 1½; negative g add nothing.
    features, gradients = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[0.5, 1.5]]]])
    assert channel_weights(features, gradients).item() == pytest.approx(0.5 / 4 + 1.5 / 8)
    assert channel_weights(features, torch.tensor([[[[0.5, -1.5]]]])).item() == pytest.approx(0.5 / 4)
    assert channel_weights(features, torch.tensor([[[[0.0, -1.5]]]])).item() == 0.0


def test_channel_weights_equal_the_papers_derivatives() -> None:
    """Eq. 10 for Y = exp S by autograd: first, second and third derivatives at every position."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 2, 2, 3, generator=generator, dtype=torch.float64)
    slopes = torch.randn(1, 2, 2, 3, generator=generator, dtype=torch.float64)
    score = (slopes * features).sum()
    expected = torch.zeros(2, dtype=torch.float64)
    for k in range(2):
        for i in range(2):
            for j in range(3):
                entry = features[0, k, i, j].clone().requires_grad_()
                value = torch.exp(score + slopes[0, k, i, j] * (entry - features[0, k, i, j]))
                derivatives = []
                for _ in range(3):
                    (value,) = torch.autograd.grad(value, entry, create_graph=True)
                    derivatives.append(value.detach())
                first, second, third = derivatives
                alpha = second / (2 * second + features[0, k].sum() * third)
                expected[k] += alpha * first.relu()
    weights = channel_weights(features, slopes).flatten() * score.exp()
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large"])
def test_gradcam_plus_plus_is_the_weighted_sum(name: str) -> None:
    model, batch = random_classifier(name), as_batch(noise_pictures())
    for layer in ("features", "low"):
        with frozen(model):
            (maps,) = gradcam_plus_plus(model, batch, ALL, layer)
        for image, class_index in ((0, 1), (1, 2)):
            features, gradient = (part.double() for part in separate_gradients(model, batch, image, class_index)[layer])
            expected = torch.zeros_like(features[0])
            for channel, slopes in zip(features, gradient, strict=True):
                positive = slopes[slopes > 0]
                alpha = positive**2 / (2 * positive**2 + channel.clamp(min=0).sum() * positive**3)
                expected += (alpha * positive).sum() * channel
            expected = expected.clamp(min=0).float()
            torch.testing.assert_close(maps[image, class_index], expected, rtol=2e-3, atol=float(expected.max()) * 1e-4)


def test_mean_gradients_of_a_linear_head_give_the_plain_map(model: CAMClassifier) -> None:
    """Grad-CAM weights (mean gradients) times the number of positions are the head's: the map is the CAM."""
    batch = as_batch(noise_pictures())
    with frozen(model):
        computed = LayerGradients(model, batch, ["features"])
        rows, classes = torch.tensor([0, 1]), torch.tensor([1, 1])
        (gradients,) = computed.of(rows, classes)
        plain = model.maps(model.features(batch))[:, 1]
    count = gradients[0, 0].numel()
    weights = gradients.mean((2, 3), keepdim=True) * count
    torch.testing.assert_close((weights * computed.features[0]).sum(1), plain, rtol=1e-3, atol=1e-4)


def test_layercam_of_a_positive_linear_head_is_the_plain_map() -> None:
    model, images = random_classifier(), noise_pictures()
    with torch.no_grad():
        model.head.weight.abs_()
    keys: dict[str, Any] = {"scales": (1.0, 0.5), "flip": True, "stride": 4}
    plain = class_maps(model, images, **keys).maps
    maps = attribution_maps(model, images, ALL, LayerCamConfig(), **keys)
    torch.testing.assert_close(maps, plain, rtol=1e-4, atol=1e-4)


def test_layercam_ignores_negative_gradients(model: CAMClassifier) -> None:
    batch = as_batch(noise_pictures())
    with frozen(model), torch.no_grad():
        (maps,) = layer_cam(model, batch, ALL, ["features"])
        expected = torch.einsum("bchw,kc->bkhw", model.features(batch), model.head.weight[:, :, 0, 0].relu())
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4)


def test_layercam_of_the_low_layer() -> None:
    model, batch = random_classifier("mobilenet_v2"), as_batch(noise_pictures())
    with frozen(model):
        low, high = layer_cam(model, batch, ALL, ["low", "features"])
        (alone,) = layer_cam(model, batch, ALL, ["low"])
    assert low.shape == (2, 3, 6, 5)
    assert high.shape == (2, 3, 3, 3)
    torch.testing.assert_close(low, alone)
    features, gradient = separate_gradients(model, batch, 1, 2)["low"]
    expected = np.maximum((np.maximum(gradient.numpy(), 0) * features.numpy()).sum(0), 0) * 6 * 5
    np.testing.assert_allclose(low[1, 2].numpy(), expected, rtol=2e-3, atol=expected.max() * 1e-4)


def test_fusion_by_hand() -> None:
    low, high = torch.tensor([[[0.0, 4.0, 1.0]]]), torch.tensor([[[10.0, 0.0, 2.0]]])
    fused = fuse([low, high], ["low", "features"], 2.0)
    expected = [1.0, math.tanh(2), max(math.tanh(0.5), 0.2)]
    torch.testing.assert_close(fused, torch.tensor([[expected]]))
    assert fuse([low], ["low"], 2.0) is low
    assert torch.equal(fuse([high * 0, high * 0], ["low", "features"], 2.0), high * 0)


def test_repeated_applications_of_the_head() -> None:
    """With two samplers the head is applied twice and the maps are merged; here to features and to their double."""
    model, batch = random_classifier(), as_batch(noise_pictures())
    expected = layer_cam_of(model, batch) * 1.5
    model.maps = lambda features: (model.head(features) + model.head(2 * features)) / 2  # type: ignore[method-assign]
    torch.testing.assert_close(layer_cam_of(model, batch), expected, rtol=1e-4, atol=1e-4)


def layer_cam_of(model: CAMClassifier, batch: Tensor) -> Tensor:
    with frozen(model):
        return layer_cam(model, batch, ALL, ["features"])[0]


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4))
def test_slots_contain_each_selected_class_once(table: list[list[bool]]) -> None:
    selected = torch.tensor(table)
    slots = list(class_slots(selected))
    counts = torch.zeros_like(selected, dtype=torch.int64)
    for rows, classes in slots:
        assert rows.unique().tolist() == rows.tolist()
        counts[rows, classes] += 1
    assert torch.equal(counts, selected.long())
    assert len(slots) == int(selected.sum(1).max())


@pytest.mark.slow
def test_low_features_are_centred_on_every_eighth_pixel() -> None:
    for name in ARCHITECTURES:
        model = random_classifier(name)
        rows = []
        for _ in range(4):
            image = torch.rand(1, 3, 97, 97, requires_grad=True)
            low = model.backbone.low(model.normalise(image))
            direction = torch.randn(low.shape[1])
            (gradient,) = torch.autograd.grad((low[0, :, 6, 6] * direction).sum(), image)
            rows.append(gradient.square().sum((0, 1, 3)))
        profile = torch.stack(rows).mean(0)
        assert abs(float((profile * torch.arange(97)).sum() / profile.sum()) - 6 * layer_stride(model, "low")) < 2


@pytest.mark.parametrize("pooling", ["mean", "max", "lse", "topk"])
def test_any_pooling(pooling: str) -> None:
    model, images = random_classifier(pooling=pooling), noise_pictures()
    for method in (GradCamPlusPlusConfig(), LayerCamConfig(layers=("low", "features"))):
        maps = attribution_maps(model, images, ALL, method, scales=(1.0,), flip=False, stride=4)
        assert maps.shape == (2, 3, 12, 9)
        assert maps.isfinite().all()
        assert (maps >= 0).all()
        assert (maps > 0).any()
