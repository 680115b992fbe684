"""DynUNet as a segmentation head: MONAI's own numbers, any image size, save and load, honest config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wsss.data.classes import Classes
from wsss.errors import InvalidInput
from wsss.models.classifier import build_classifier
from wsss.models.config import ClassifierConfig, SegmenterConfig, UNetConfig
from wsss.models.inference import class_probabilities
from wsss.models.segmenters import build_segmenter, load_segmenter, save_segmenter
from wsss.models.unet import OwnStatistics, UNet
from wsss.validation import validate

TINY = {"levels": 4, "filters": [4, 6, 8, 10]}
CLASSES = Classes(("background", "mortar"), ((0,), (1,)))


def tiny(**keys: Any) -> UNet:
    torch.manual_seed(0)
    network = build_segmenter(validate(SegmenterConfig, {"head": "dynunet", "unet": TINY | keys}, where=""), 2)
    assert isinstance(network, UNet)
    return network


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_the_same_numbers_as_monai(coarse: int) -> None:
    from monai.networks.nets.dynunet import DynUNet

    network = tiny(deep_supervision=coarse)
    theirs = DynUNet(
        2,
        3,
        2,
        kernel_size=[3] * 4,
        strides=[1, 2, 2, 2],
        upsample_kernel_size=[2, 2, 2],
        filters=[4, 6, 8, 10],
        deep_supervision=coarse > 0,
        deep_supr_num=max(coarse, 1),
    )
    missing, unexpected = theirs.load_state_dict(network.net.state_dict(), strict=False)
    assert not unexpected and all(name.startswith("skip_layers.") for name in missing)
    images = torch.rand(2, 3, 32, 48)
    normalised = OwnStatistics()(images)
    for training in (True, False):
        network.train(training)
        theirs.train(training)
        ours, expected = network(images), theirs(normalised)
        if training and coarse:
            assert isinstance(ours, list) and len(ours) == coarse + 1
            for one, other in zip(ours, expected.unbind(1), strict=True):
                torch.testing.assert_close(one, other)
        else:
            torch.testing.assert_close(ours, expected)


def test_the_papers_network() -> None:
    """8 levels, 6 coarser outputs; nnU-Net's number of filters."""
    unet = UNetConfig()
    assert unet.channels == (32, 64, 128, 256, 512, 512, 512, 512)
    assert unet.coarse_outputs == 6
    with torch.device("meta"):
        network = UNet(validate(SegmenterConfig, {"head": "dynunet"}, where=""), 2)
    assert 30e6 < sum(p.numel() for p in network.parameters()) < 50e6


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 40), (37, 50), (64, 16)])
def test_any_size_of_image(size: tuple[int, int]) -> None:
    network = tiny().train()
    outputs = network(torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8))
    assert [tuple(output.shape) for output in outputs] == [(2, 2, *size)] * 3
    sum(output.sum() for output in outputs).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.eval()(torch.zeros(1, 3, *size)).shape == (1, 2, *size)


def test_padding_leaves_images_of_whole_strides_alone() -> None:
    network = tiny().eval()
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(network(images), network.net.eval().output_block(_features(network, images)))


def _features(network: UNet, images: torch.Tensor) -> torch.Tensor:
    net, x = network.net, network.normalise(images)
    skips = [net.input_block(x)]
    for down in net.downsamples:
        skips.append(down(skips[-1]))
    x = net.bottleneck(skips[-1])
    for up in net.upsamples:
        x = up(x, skips.pop())
    return x


def test_images_are_normalised_by_their_own_statistics_or_by_given_ones() -> None:
    images = torch.randint(0, 200, (2, 3, 16, 16), dtype=torch.uint8)
    images[1] = 7
    own = OwnStatistics()(images)
    assert own[0].mean((1, 2)).abs().max() < 1e-5
    torch.testing.assert_close(own[0].std((1, 2), correction=0), torch.ones(3))
    assert own[1].abs().max() < 1e-3  # one value only: no division by zero
    torch.testing.assert_close(own[0], OwnStatistics()(images[:1] / 255)[0])
    fixed = tiny(normalisation={"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]})
    assert fixed.origin.mean == (0.5, 0.5, 0.5)
    torch.testing.assert_close(fixed.normalise(images), (images / 255 - 0.5) / 0.25)


def test_saved_and_loaded(tmp_path: Path) -> None:
    network = tiny(normalisation={"mean": [0.4, 0.5, 0.6]}).eval()
    save_segmenter(tmp_path, network, CLASSES)
    weights = load_file(tmp_path / "model.safetensors")
    assert not [name for name in weights if "skip_layers" in name]
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["config"]["head"] == "dynunet"
    assert description["config"]["backbone"] is None
    assert description["config"]["unet"]["levels"] == 4
    assert description["mean"] == [0.4, 0.5, 0.6]
    again, classes = load_segmenter(tmp_path)
    assert isinstance(again, UNet) and classes == CLASSES and not again.training
    images = np.random.default_rng(0).integers(0, 256, (2, 33, 41, 3), dtype=np.uint8)
    first, second = (class_probabilities(n, images, scales=(1.0, 0.5), flip=True) for n in (network, again))
    assert torch.equal(first, second)
    torch.testing.assert_close(first.sum(1), torch.ones(2, 33, 41))


def test_a_classifier_has_no_trunk_for_it() -> None:
    config = ClassifierConfig.model_validate({"backbone": {"weights": "none"}})
    start = build_classifier(config, 1)
    with pytest.raises(InvalidInput, match="dynunet has no trunk"):
        build_segmenter(validate(SegmenterConfig, {"head": "dynunet"}, where=""), 2, start=start)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"head": "dynunet", "backbone": {"name": "resnet18"}}, "head: dynunet has no backbone.*backbone: null"),
        ({"head": "dynunet", "head_channels": 64}, "head: dynunet has no head_channels"),
        ({"head": "dynunet", "atrous_rates": [6]}, "head: dynunet has no atrous_rates"),
        ({"head": "lraspp", "unet": {}}, "unet belongs to head: dynunet"),
        ({"backbone": None}, "head: lraspp needs a backbone"),
        ({"head": "dynunet", "unet": {"levels": 4, "filters": [8, 8]}}, "filters: 2 numbers for 4 levels"),
        ({"head": "dynunet", "unet": {"levels": 4, "deep_supervision": 3}}, "deep_supervision.*at most 2"),
        ({"head": "dynunet", "unet": {"levels": 2}}, "at least 3"),
        ({"head": "dynunet", "unet": {"normalisation": {"std": [0, 1, 1]}}}, "a number above 0"),
    ],
)
def test_the_config_says_what_there_is(value: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate(SegmenterConfig, value, where="segment")


def test_no_backbone_in_the_config_of_a_unet() -> None:
    config = validate(SegmenterConfig, {"head": "dynunet", "backbone": None}, where="")
    assert config.backbone is None and config.unet == UNetConfig()
    assert SegmenterConfig().backbone is not None and SegmenterConfig().unet is None
