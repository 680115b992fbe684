from __future__ import annotations

from pathlib import Path

import pytest
import torch
from learning import CLASSES

from wsss.errors import InvalidInput
from wsss.models.backbones import OwnStatistics
from wsss.models.classifier import build_classifier, load_classifier, save_classifier
from wsss.models.config import ClassifierConfig, ConvNetConfig, SegmenterConfig
from wsss.models.convnet import ConvNet
from wsss.models.segmentation_networks.segmenters import build_segmenter
from wsss.validation import validate


def config(**convnet: object) -> ClassifierConfig:
    return validate(ClassifierConfig, {"convnet": convnet}, where="classify")


@pytest.mark.parametrize(
    ("widths", "wide", "stride", "field"), [((5,), 0, 1, 1), ((5, 4), 1, 1, 3), ((5, 4, 6), 2, 1, 5), ((5, 4), 2, 2, 7)]
)
def test_receptive_field(widths: tuple[int, ...], wide: int, stride: int, field: int) -> None:
    net = ConvNet(ConvNetConfig.model_validate({"widths": widths, "wide": wide, "stride": stride}))
    for parameter in net.parameters():
        torch.nn.init.constant_(parameter, 0.1)  # no gradient vanishes
    image = torch.rand(1, 3, 24, 24).requires_grad_()
    features = net(image).high
    assert features.shape == (1, widths[-1], 24 // stride, 24 // stride)
    assert (net.channels, net.output_stride) == (widths[-1], stride)
    middle = 12 // stride
    features[0, :, middle, middle].sum().backward()
    assert image.grad is not None
    pixels = image.grad.abs().sum((0, 1)).nonzero()
    assert (pixels.amax(0) - pixels.amin(0) + 1).tolist() == [field, field]
    assert (pixels.amax(0) + pixels.amin(0)).tolist() == [2 * middle * stride] * 2  # centred on pixel stride · i


def test_features_of_a_uniform_image_are_uniform() -> None:
    features = ConvNet(ConvNetConfig(widths=(6, 4), wide=2))(torch.full((1, 3, 9, 9), 0.7)).high
    torch.testing.assert_close(features, features[:, :, 4:5, 4:5].expand_as(features))


def test_tiles_are_normalised_by_the_statistics_of_their_image() -> None:
    image = torch.randint(0, 256, (1, 3, 20, 30), dtype=torch.uint8)
    normalised = OwnStatistics()(image)
    torch.testing.assert_close(normalised.mean((2, 3)), torch.zeros(1, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std((2, 3), correction=0), torch.ones(1, 3))
    pixels = image.float() / 255
    statistics = torch.stack([pixels.mean((2, 3)), pixels.std((2, 3), correction=0)], 1)
    tile = OwnStatistics()(image[:, :, 3:9, 5:11], statistics)
    torch.testing.assert_close(tile, normalised[:, :, 3:9, 5:11])


def test_logits_are_invariant_to_brightness_and_contrast() -> None:
    classifier = build_classifier(config(), 1).eval()
    image = torch.rand(1, 3, 16, 16) * 0.4
    torch.testing.assert_close(classifier(image), classifier(1.5 * image + 0.2), atol=1e-4, rtol=1e-3)
    fixed = build_classifier(config(normalisation={"mean": [0.5] * 3, "std": [0.25] * 3}), 1).eval()
    assert not torch.allclose(fixed(image), fixed(1.5 * image + 0.2), atol=1e-6)


@pytest.mark.parametrize("keys", [{}, {"normalisation": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.3]}}])
def test_saved_and_loaded(tmp_path: Path, keys: dict[str, object]) -> None:
    classifier = build_classifier(config(widths=[4, 4], **keys), 2).eval()
    save_classifier(tmp_path, classifier, CLASSES)
    loaded, classes = load_classifier(tmp_path)
    image = torch.rand(1, 3, 12, 14)
    assert torch.equal(loaded(image), classifier(image))
    assert classes == CLASSES


def test_convnet_replaces_the_default_backbone() -> None:
    assert config().backbone is None and config().trunk == "convnet"
    assert ClassifierConfig().trunk == "mobilenet_v2"


@pytest.mark.parametrize(
    ("value", "subject", "keys"),
    [
        ({"backbone": {"name": "resnet18"}, "convnet": {}}, "classify", "backbone or convnet"),
        ({"backbone": None}, "classify", "backbone or convnet"),
        ({"convnet": {"wide": 3}}, "classify.convnet", "wide: "),
    ],
)
def test_invalid_configs(value: dict[str, object], subject: str, keys: str) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(ClassifierConfig, value, where="classify")
    assert error.value.subject == subject and keys in error.value.problem


def test_segmenters_cannot_be_initialised_from_it() -> None:
    segmenter = SegmenterConfig.model_validate({"backbone": {"name": "resnet18", "weights": "none"}})
    with pytest.raises(InvalidInput) as error:
        build_segmenter(segmenter, 3, start=build_classifier(config(), 2))
    assert (error.value.subject, error.value.found) == ("backbone.name", "resnet18")
