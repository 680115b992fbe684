"""Properties of all kinds of maps: scales, mirror images, batches, selected classes, no side effects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from learning import classifier_with_samplers, noise_pictures, random_classifier

from wsss.errors import InvalidInput
from wsss.models.attribution.config import AdvCamConfig, GradCamPlusPlusConfig, LayerCamConfig, NormGradConfig
from wsss.models.attribution.gradients import frozen
from wsss.models.attribution.map_method import MapMethod
from wsss.models.attribution.maps import attribution_maps
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.classifier import CAMClassifier

METHODS: dict[str, MapMethod] = {
    "gradcam++": GradCamPlusPlusConfig(),
    "gradcam++ of low": GradCamPlusPlusConfig(layer="low"),
    "layercam": LayerCamConfig(),
    "layercam of both": LayerCamConfig(layers=("low", "features")),
    "advcam": AdvCamConfig(steps=2),
    "normgrad": NormGradConfig(),
}
ALL = torch.ones(2, 3, dtype=torch.bool)
KEYS: dict[str, Any] = {"scales": (1.0, 0.5), "flip": True, "stride": 4}

all_methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


@pytest.fixture(scope="module")
def model() -> CAMClassifier:
    return random_classifier("mobilenet_v2")


def assert_close(maps: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


@all_methods
def test_maps_of_a_batch_are_those_of_each_image(model: CAMClassifier, method: MapMethod) -> None:
    images = noise_pictures()
    together = attribution_maps(model, images, ALL, method, **KEYS)
    assert together.shape == (2, 3, 12, 9)
    assert (together.amax((2, 3)) > 0).any()
    for index in range(2):
        alone = attribution_maps(model, images[index : index + 1], ALL[:1], method, **KEYS)
        assert_close(alone[0], together[index])


@all_methods
def test_only_selected_classes_get_a_map(model: CAMClassifier, method: MapMethod) -> None:
    images = noise_pictures()
    complete = attribution_maps(model, images, ALL, method, **KEYS)
    selected = torch.tensor([[False, True, True], [False, False, False]])
    maps = attribution_maps(model, images, selected, method, **KEYS)
    assert maps.shape == (2, 2, 12, 9)  # classes 1 and 2
    assert_close(maps[0], complete[0, 1:])
    assert not maps[1].any()
    empty = attribution_maps(model, images, torch.zeros_like(selected), method, **KEYS)
    assert empty.shape == (2, 0, 12, 9)


@all_methods
def test_mirrored_image_has_mirrored_maps(model: CAMClassifier, method: MapMethod) -> None:
    images = noise_pictures(1, 33, 49)
    keys: dict[str, Any] = {"scales": (1.0,), "flip": True, "stride": 1}
    maps = attribution_maps(model, images, ALL[:1], method, **keys)
    assert_close(attribution_maps(model, images[:, :, ::-1].copy(), ALL[:1], method, **keys), maps.flip(3))


@all_methods
def test_maps_are_deterministic(model: CAMClassifier, method: MapMethod) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        runs = [attribution_maps(model, noise_pictures(), ALL, method, **KEYS) for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*runs)


@all_methods
def test_the_classifier_is_unchanged(model: CAMClassifier, method: MapMethod) -> None:
    fixed = model.backbone.low[0][0].weight
    fixed.requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    try:
        maps = attribution_maps(model, noise_pictures(), ALL, method, **KEYS)
        assert not maps.requires_grad
        for name, parameter in model.named_parameters():
            assert parameter.grad is None, name
            assert parameter.requires_grad == (parameter is not fixed), name
            assert torch.equal(parameter, before[name]), name
    finally:
        fixed.requires_grad_(True)


@all_methods
def test_tiny_and_reduced_images(model: CAMClassifier, method: MapMethod) -> None:
    images = noise_pictures(1, 1, 3)
    maps = attribution_maps(model, images, ALL[:1], method, scales=(1.0, 0.5), flip=True, stride=4)
    assert maps.shape == (1, 3, 1, 1)
    assert maps.isfinite().all()
    images = noise_pictures(1, 64, 32)
    half = attribution_maps(model, images, ALL[:1], method, scales=(0.5,), flip=False, stride=4)
    assert torch.equal(
        attribution_maps(model, images, ALL[:1], method, scales=(1.0,), flip=False, stride=4, max_side=32), half
    )


def test_frozen_restores_gradients_after_an_error(model: CAMClassifier) -> None:
    with pytest.raises(RuntimeError, match="stop"), frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
        raise RuntimeError("stop")
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("placement", "merge"), [("bottleneck", "mean"), ("features", "max"), ("features", "shrinkage")]
)
def test_maps_of_classifiers_with_samplers(placement: str, merge: str) -> None:
    """With positive head weights, LayerCAM is the plain, merged map."""
    model = classifier_with_samplers(placement, merge)
    torch.nn.init.uniform_(model.head.weight)
    images = noise_pictures()
    keys = KEYS | {"scales": (1.0,)}
    plain = class_maps(model, images, **keys).maps
    assert_close(attribution_maps(model, images, ALL, LayerCamConfig(), **keys), plain)
    assert_close(attribution_maps(model, images, ALL, AdvCamConfig(steps=0), **keys), plain)
    for method in (GradCamPlusPlusConfig(layer="low"), AdvCamConfig(steps=1)):
        maps = attribution_maps(model, images, ALL, method, **keys)
        assert maps.isfinite().all()
        assert (maps > 0).any()


class Foreign(MapMethod):
    """A method of another package."""

    name: str = "foreign"
    shape: tuple[int, ...]

    def compute(self, classifier: CAMClassifier, batch: torch.Tensor, selected: torch.Tensor) -> list[torch.Tensor]:
        return [torch.ones(self.shape)]


@pytest.mark.parametrize(
    ("shape", "valid"),
    [((2, 3, 2, 2), True), ((2, 3, 48, 36), False), ((2, 1, 2, 2), False), ((1, 3, 2, 2), False), ((3, 2, 2), False)],
)
def test_maps_of_another_resolution_are_refused(model: CAMClassifier, shape: tuple[int, ...], valid: bool) -> None:
    keys: dict[str, Any] = {**KEYS, "scales": (1.0,), "flip": False}
    if valid:
        assert attribution_maps(model, noise_pictures(), ALL, Foreign(shape=shape), **keys).shape == (2, 3, 12, 9)
        return
    with pytest.raises(InvalidInput) as error:
        attribution_maps(model, noise_pictures(), ALL, Foreign(shape=shape), **keys)
    assert error.value.subject == "cam.method foreign" and error.value.found == str(shape)
