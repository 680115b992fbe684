"""Networks of timm as trunks: positions of their features, maps, samplers, segmentation heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wsss.data.classes import Classes
from wsss.errors import InvalidInput
from wsss.models.attribution.config import GradCamPlusPlusConfig, LayerCamConfig
from wsss.models.attribution.maps import attribution_maps
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.backbones import build_backbone, check_weights_fit
from wsss.models.classifier import CAMClassifier, build_classifier, load_classifier, save_classifier
from wsss.models.config import BackboneConfig, ClassifierConfig, SegmenterConfig
from wsss.models.sampler_config import SamplingConfig
from wsss.models.segmentation_networks.segmenters import build_segmenter, load_segmenter, save_segmenter
from wsss.models.trunk import FeatureExtractor, Trunk

pytest.importorskip("timm")

CLASSES = Classes(("background", "ring", "cross"), ((0,), (1,), (2,)))
SMALL = {"test_resnet": 16, "test_convnext": 16, "test_efficientnet": 16, "test_vit": 16, "test_byobnet": None}
"""Smallest networks of each kind → output stride."""


def backbone(name: str, output_stride: int | None = None, **keys: Any) -> BackboneConfig:
    return BackboneConfig(name=f"timm/{name}", output_stride=output_stride, weights="none", **keys)  # type: ignore[arg-type]


def trunk_of(name: str, output_stride: int | None = None) -> Trunk:
    torch.manual_seed(0)
    return build_backbone(backbone(name, output_stride))[0].eval()


def classifier_of(name: str, output_stride: int | None = None) -> CAMClassifier:
    torch.manual_seed(0)
    model = build_classifier(ClassifierConfig(backbone=backbone(name, output_stride)), 2).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


# Symmetric padding: 0. Non-overlapping patches: (stride − 1)/2. TensorFlow's padding: stride − 1. Undilated layers of
# a dilated ConvNeXt still average pairs: 7.5 + 16/2.
@pytest.mark.parametrize(
    ("name", "output_stride", "levels"),
    [
        ("resnet18", 16, [(4, 0), (8, 0), (16, 0), (16, 0)]),
        ("resnetblur18", None, [(4, 0), (8, 0), (16, 0), (32, 0)]),
        ("efficientnet_lite0", None, [(4, 0), (8, 0), (16, 0), (32, 0)]),
        ("tf_efficientnet_lite0", None, [(4, 3), (8, 7), (16, 15), (32, 31)]),
        ("tf_efficientnet_lite0", 16, [(4, 3), (8, 7), (16, 15), (16, 15)]),
        ("convnext_atto", None, [(4, 1.5), (8, 3.5), (16, 7.5), (32, 15.5)]),
        ("convnext_atto", 16, [(4, 1.5), (8, 3.5), (16, 7.5), (16, 15.5)]),
        ("swin_tiny_patch4_window7_224", None, [(4, 1.5), (8, 3.5), (16, 7.5), (32, 15.5)]),
        ("twins_svt_small", None, [(4, 1.5), (8, 3.5), (16, 7.5), (32, 15.5)]),
        ("deit_tiny_patch16_224", 16, [(16, 7.5)] * 4),
        ("vit_small_patch14_reg4_dinov2", None, [(14, 6.5)] * 4),
    ],
)
def test_declared_positions(name: str, output_stride: int | None, levels: list[tuple[int, float]]) -> None:
    with torch.device("meta"):
        trunk = trunk_of(name, output_stride)
    assert [(level.stride, level.offset) for level in trunk.levels] == levels
    assert (trunk.output_stride, trunk.output_offset) == levels[-1]


@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet", "test_vit", "tf_efficientnet_lite0"])
def test_gradients_are_centred_on_the_declared_positions(name: str) -> None:
    trunk = trunk_of(name)
    for index, level in enumerate(trunk.levels):
        if level.stride > 16:
            continue  # receptive fields larger than the image have no centre
        profile, row = torch.zeros(187), 80 // level.stride
        for _ in range(4):
            image = torch.rand(1, 3, 187, 187, requires_grad=True)
            features = trunk.features(image)[index]
            score = (features[0, :, row, row] * torch.randn(level.channels)).sum()
            (gradient,) = torch.autograd.grad(score, image)
            profile += gradient.square().sum((0, 1, 3))
        centre = float((profile * torch.arange(187)).sum() / profile.sum())
        assert centre == pytest.approx(level.offset + row * level.stride, abs=level.stride / 4)


def dot_image(size: tuple[int, int], row: int, column: int) -> np.ndarray:
    """A grey image with one white dot of 6×6 pixels, centred on (row, column) + ½."""
    image = np.full((1, *size, 3), 110, np.uint8)
    image[:, row - 2 : row + 4, column - 2 : column + 4] = 255
    return image


def dot_detector() -> CAMClassifier:
    """A vision transformer whose head is fitted to its random features of dots: 1 at the dot, 0 elsewhere."""
    model = classifier_of("test_vit")
    model.backbone.high.pos_embed.data.zero_()  # random embeddings look like dots
    inputs, targets = [], []
    for row, column in np.random.default_rng(0).integers(4, 76, (200, 2)):
        target = torch.zeros(5, 5)
        target[row // 16, column // 16] = 1
        with torch.no_grad():
            inputs.append(model.features(as_batch(dot_image((80, 80), row, column)))[0].flatten(1).T)
        targets.append(target.flatten()[:, None])
    with torch.no_grad():
        fitted = torch.linalg.lstsq(torch.cat(inputs), torch.cat(targets)).solution
        model.head.weight[:] = fitted.T[..., None, None]
    return model


def as_batch(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def detector() -> CAMClassifier:
    return dot_detector()


@pytest.mark.parametrize("size", [(101, 151), (77, 205), (131, 59)])
@pytest.mark.parametrize("flip", [False, True])
def test_maps_of_one_dot_peak_on_the_dot(detector: CAMClassifier, size: tuple[int, int], flip: bool) -> None:
    """Within one patch of 16 pixels; within one pixel for dots in the middle of a patch."""

    def error(row: int, column: int) -> float:
        maps = class_maps(detector, dot_image(size, row, column), scales=(1.0,), flip=flip, stride=1).maps
        peak = int(maps[0, 0].argmax())
        return max(abs(peak // size[1] - row - 0.5), abs(peak % size[1] - column - 0.5))

    anywhere = [error(row, column) for row in range(12, size[0] - 12, 31) for column in range(12, size[1] - 12, 37)]
    assert max(anywhere) <= 16
    if not flip:  # the patches of the mirrored image are others
        assert max(error(16 * index + 7, 16 * index + 7) for index in range(1, 3)) <= 1


@pytest.mark.parametrize(("name", "output_stride"), SMALL.items())
def test_classifier_maps_samplers_and_round_trip(name: str, output_stride: int | None, tmp_path: Path) -> None:
    model = classifier_of(name, output_stride)
    images = np.random.default_rng(0).integers(0, 256, (2, 70, 45, 3), dtype=np.uint8)
    raw = class_maps(model, images, scales=(1.0, 0.5), flip=True, stride=4)
    assert raw.maps.shape == (2, 2, 18, 12) and raw.maps.isfinite().all() and (raw.maps > 0).any()
    stride, channels = model.backbone.output_stride, model.backbone.channels
    assert model.features(as_batch(images)).shape == (2, channels, -(-70 // stride), -(-45 // stride))
    model.resample(SamplingConfig.model_validate({"expansion": {}, "placement": "features"}))
    model.train()(as_batch(images)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.head.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.backbone.high.parameters())
    save_classifier(tmp_path, model.eval(), CLASSES)
    loaded, _ = load_classifier(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(as_batch(images)), model(as_batch(images)))


@pytest.mark.parametrize(("name", "output_stride"), SMALL.items())
@pytest.mark.parametrize("head", ["lraspp", "deeplabv3"])
def test_segmentation_heads(name: str, output_stride: int | None, head: str, tmp_path: Path) -> None:
    config = SegmenterConfig.model_validate({"backbone": backbone(name, output_stride), "head": head})
    model = build_segmenter(config, 3, start=classifier_of(name, output_stride))
    images = torch.randint(0, 256, (2, 3, 50, 70), dtype=torch.uint8)
    logits = model.train()(images)
    assert logits.shape == (2, 3, 50, 70)
    logits.square().mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.backbone.parameters())
    save_segmenter(tmp_path, model.eval(), CLASSES)
    loaded, _ = load_segmenter(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))


@pytest.mark.slow
def test_swin_classifies_and_segments() -> None:
    name = "swin_tiny_patch4_window7_224"
    model = classifier_of(name)
    assert model(torch.rand(1, 3, 50, 70)).shape == (1, 2)
    segmenter = build_segmenter(SegmenterConfig.model_validate({"backbone": backbone(name)}), 3, start=model)
    assert segmenter.eval()(torch.rand(1, 3, 50, 70)).shape == (1, 3, 50, 70)


def test_features_of_any_trunk_are_its_levels() -> None:
    names = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large", *(f"timm/{name}" for name in SMALL))
    for name in names:
        extractor: FeatureExtractor
        extractor = trunk = build_backbone(BackboneConfig(name=name, weights="none", output_stride=None))[0].eval()
        images = torch.rand(1, 3, 96, 64)
        with torch.no_grad():
            maps, body = extractor.features(images), trunk.body(images)
        assert torch.equal(maps[-1], body)
        assert [each.shape[1] for each in maps] == [level.channels for level in extractor.levels]
        assert [(96 // each.shape[2], 64 // each.shape[3]) for each in maps] == [
            (level.stride, level.stride) for level in extractor.levels
        ]
        assert [level.stride for level in extractor.levels] == ([16] * 4 if "vit" in name else [4, 8, 16, 32])


def test_gradient_maps_of_the_low_layer() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    keys: dict[str, Any] = {"scales": (1.0,), "flip": False, "stride": 4}
    convnext, vit = classifier_of("test_convnext"), classifier_of("test_vit")
    method = LayerCamConfig(layers=("low", "features"))
    method.require_layers(convnext)
    maps = attribution_maps(convnext, images, torch.ones(1, 2, dtype=torch.bool), method, **keys)
    assert maps.shape == (1, 2, 16, 16) and (maps > 0).any()
    with pytest.raises(InvalidInput) as error:
        method.require_layers(vit)
    assert error.value.subject == "cam.method"
    GradCamPlusPlusConfig().require_layers(vit)


@pytest.mark.parametrize(
    ("name", "output_stride", "subject", "stated"),
    [
        ("resnet19", 16, "backbone.name", "timm/resnet18"),
        ("convnext_tiny.fb_in1kk", 16, "backbone.name", "timm/convnext_tiny.fb_in1k"),
        ("swin_tiny_patch4_window7_224", 16, "backbone.output_stride", "32 or null"),
        ("vit_small_patch14_dinov2", 16, "backbone.output_stride", "14"),
        ("cait_xxs24_224", None, "backbone.name", "feature maps"),
    ],
)
def test_invalid_networks(name: str, output_stride: int | None, subject: str, stated: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check_weights_fit(backbone(name, output_stride))
    assert error.value.subject == subject
    assert stated in str(error.value.allowed or error.value.problem)
