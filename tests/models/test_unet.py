"""DynUNet as a segmentation network: equality with MONAI, image sizes, saving and loading, configs."""

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
from wsss.models.segmentation_networks.inference import class_probabilities
from wsss.models.segmentation_networks.segmenters import build_segmenter, load_segmenter, save_segmenter
from wsss.models.segmentation_networks.unet import OwnStatistics, UNet
from wsss.validation import validate

TINY = {"levels": 4, "filters": [4, 6, 8, 10]}
CLASSES = Classes(("background", "mortar"), ((0,), (1,)))


def tiny(**keys: Any) -> UNet:
    torch.manual_seed(0)
    network = build_segmenter(validate(SegmenterConfig, {"head": "dynunet", "unet": TINY | keys}, where=""), 2)
    assert isinstance(network, UNet)
    return network


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_outputs_equal_monai(coarse: int) -> None:
    from monai.networks.nets.dynunet import DynUNet

    network = tiny(deep_supervision=coarse)
    reference = DynUNet(
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
    missing, unexpected = reference.load_state_dict(network.net.state_dict(), strict=False)
    assert not unexpected and all(name.startswith("skip_layers.") for name in missing)
    images = torch.rand(2, 3, 32, 48)
    normalised = OwnStatistics()(images)
    for training in (True, False):
        network.train(training)
        reference.train(training)
        outputs, expected = network(images), reference(normalised)
        if training and coarse:
            assert isinstance(outputs, list) and len(outputs) == coarse + 1
            torch.testing.assert_close(outputs, list(expected.unbind(1)))
        else:
            torch.testing.assert_close(outputs, expected)


def test_default_network() -> None:
    """The network of TopoMortar: 8 levels, 6 coarser outputs, nnU-Net's number of filters."""
    unet = UNetConfig()
    assert unet.channels == (32, 64, 128, 256, 512, 512, 512, 512)
    assert unet.coarse_outputs == 6
    with torch.device("meta"):
        network = UNet(validate(SegmenterConfig, {"head": "dynunet"}, where=""), 2)
    assert 30e6 < sum(p.numel() for p in network.parameters()) < 50e6


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 40), (37, 50), (64, 16)])
def test_image_sizes(size: tuple[int, int]) -> None:
    network = tiny().train()
    outputs = network(torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8))
    assert [tuple(output.shape) for output in outputs] == [(2, 2, *size)] * 3
    sum(output.sum() for output in outputs).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.eval()(torch.zeros(1, 3, *size)).shape == (1, 2, *size)


def test_normalisation_by_own_or_fixed_statistics() -> None:
    images = torch.randint(0, 200, (2, 3, 16, 16), dtype=torch.uint8)
    images[1] = 7
    own = OwnStatistics()(images)
    assert own[0].mean((1, 2)).abs().max() < 1e-5
    torch.testing.assert_close(own[0].std((1, 2), correction=0), torch.ones(3))
    assert own[1].abs().max() < 1e-3  # uniform image: no division by zero
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
    loaded, classes = load_segmenter(tmp_path)
    assert isinstance(loaded, UNet) and classes == CLASSES and not loaded.training
    images = np.random.default_rng(0).integers(0, 256, (2, 33, 41, 3), dtype=np.uint8)
    first, second = (class_probabilities(n, images, scales=(1.0, 0.5), flip=True) for n in (network, loaded))
    assert torch.equal(first, second)
    torch.testing.assert_close(first.sum(1), torch.ones(2, 33, 41))


def test_it_cannot_be_initialised_from_a_classifier() -> None:
    start = build_classifier(ClassifierConfig.model_validate({"convnet": {}}), 1)
    with pytest.raises(InvalidInput):
        build_segmenter(validate(SegmenterConfig, {"head": "dynunet"}, where=""), 2, start=start)


@pytest.mark.parametrize(
    ("value", "subject", "stated"),
    [
        ({"head": "dynunet", "backbone": {"name": "resnet18"}}, "segment", ("dynunet", "backbone: null")),
        ({"head": "dynunet", "head_channels": 64}, "segment", ("dynunet", "head_channels")),
        ({"head": "dynunet", "atrous_rates": [6]}, "segment", ("dynunet", "atrous_rates")),
        ({"head": "lraspp", "unet": {}}, "segment", ("unet", "head: dynunet", "lraspp")),
        ({"backbone": None}, "segment", ("head: lraspp", "backbone")),
        ({"head": "dynunet", "unet": {"levels": 4, "filters": [8, 8]}}, "segment.unet", ("filters: ", "4", "got 2")),
        (
            {"head": "dynunet", "unet": {"levels": 4, "deep_supervision": 3}},
            "segment.unet",
            ("deep_supervision: ", "2 for 4", "got 3"),
        ),
    ],
)
def test_incompatible_settings(value: dict[str, Any], subject: str, stated: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(SegmenterConfig, value, where="segment")
    assert error.value.subject == subject and all(part in error.value.problem for part in stated)


@pytest.mark.parametrize(
    ("unet", "key", "found"),
    [({"levels": 2}, "levels", 2), ({"normalisation": {"std": [0, 1, 1]}}, "normalisation.std.0", 0)],
)
def test_values_out_of_range(unet: dict[str, Any], key: str, found: int) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(SegmenterConfig, {"head": "dynunet", "unet": unet}, where="segment")
    assert (error.value.subject, error.value.found) == (f"segment.unet.{key}", found)


def test_dynunet_replaces_the_default_backbone() -> None:

    config = validate(SegmenterConfig, {"head": "dynunet", "backbone": None}, where="")
    assert config.backbone is None and config.unet == UNetConfig()
    assert SegmenterConfig().backbone is not None and SegmenterConfig().unet is None
