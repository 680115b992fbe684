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
from wsss.models.segmenters import build_segmenter
from wsss.validation import validate


def config(**convnet: object) -> ClassifierConfig:
    return validate(ClassifierConfig, {"convnet": convnet}, where="classify")


@pytest.mark.parametrize(
    ("widths", "wide", "stride", "field"),
    [((5,), 0, 1, 1), ((5, 4), 1, 1, 3), ((5, 4, 6), 2, 1, 5), ((5, 4), 2, 2, 7)],
)
def test_a_feature_sees_as_much_as_the_config_says(widths: tuple[int, ...], wide: int, stride: int, field: int) -> None:
    net = ConvNet(ConvNetConfig.model_validate({"widths": widths, "wide": wide, "stride": stride}))
    for parameter in net.parameters():
        torch.nn.init.constant_(parameter, 0.1)  # every path counts, and no ReLU is off
    image = torch.rand(1, 3, 24, 24).requires_grad_()
    features = net(image).high
    assert features.shape == (1, widths[-1], 24 // stride, 24 // stride)
    assert (net.channels, net.output_stride) == (widths[-1], stride)
    middle = 12 // stride
    features[0, :, middle, middle].sum().backward()
    assert image.grad is not None
    seen = image.grad.abs().sum((0, 1)).nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [field, field]
    assert (seen.amax(0) + seen.amin(0)).tolist() == [2 * middle * stride] * 2  # centred on pixel stride · i


def test_the_border_of_a_plain_image_looks_like_its_inside() -> None:
    features = ConvNet(ConvNetConfig(widths=(6, 4), wide=2))(torch.full((1, 3, 9, 9), 0.7)).high
    torch.testing.assert_close(features, features[:, :, 4:5, 4:5].expand_as(features))


def test_tiles_are_normalised_by_their_image() -> None:
    image = torch.randint(0, 256, (1, 3, 20, 30), dtype=torch.uint8)
    whole = OwnStatistics()(image)
    torch.testing.assert_close(whole.mean((2, 3)), torch.zeros(1, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.std((2, 3), correction=0), torch.ones(1, 3))
    pixels = image.float() / 255
    statistics = torch.stack([pixels.mean((2, 3)), pixels.std((2, 3), correction=0)], 1)
    tile = OwnStatistics()(image[:, :, 3:9, 5:11], statistics)
    torch.testing.assert_close(tile, whole[:, :, 3:9, 5:11])


def test_brighter_and_stronger_colours_change_nothing() -> None:
    classifier = build_classifier(config(), 1).eval()
    image = torch.rand(1, 3, 16, 16) * 0.4
    torch.testing.assert_close(classifier(image), classifier(1.5 * image + 0.2), atol=1e-4, rtol=1e-3)
    fixed = build_classifier(config(normalisation={"mean": [0.5] * 3, "std": [0.25] * 3}), 1).eval()
    assert not torch.allclose(fixed(image), fixed(1.5 * image + 0.2), atol=1e-6)


def test_a_saved_classifier_is_the_same(tmp_path: Path) -> None:
    for number, kind in enumerate(({}, {"normalisation": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.3]}})):
        classifier = build_classifier(config(widths=[4, 4], **kind), 2).eval()
        save_classifier(tmp_path / str(number), classifier, CLASSES)
        again, classes = load_classifier(tmp_path / str(number))
        image = torch.rand(1, 3, 12, 14)
        torch.testing.assert_close(again(image), classifier(image), atol=0, rtol=0)
        assert classes == CLASSES


def test_backbone_or_convnet_but_not_both() -> None:
    assert config().backbone is None and config().trunk == "convnet"
    assert ClassifierConfig().trunk == "mobilenet_v2"
    with pytest.raises(InvalidInput, match="either backbone or convnet"):
        validate(ClassifierConfig, {"backbone": {"name": "resnet18"}, "convnet": {}}, where="classify")
    with pytest.raises(InvalidInput, match="both are null"):
        validate(ClassifierConfig, {"backbone": None}, where="classify")
    with pytest.raises(InvalidInput, match="wide: 3 of 2 convolutions"):
        config(wide=3)


def test_no_segmenter_starts_from_it() -> None:
    segmenter = SegmenterConfig.model_validate({"backbone": {"name": "resnet18", "weights": "none"}})
    with pytest.raises(InvalidInput, match="the classifier to start from is a convnet"):
        build_segmenter(segmenter, 3, start=build_classifier(config(), 2))
