"""The boundary network: levels of features, alignment, and saving."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wsss.data.classes import Classes
from wsss.models.affinity_networks.boundary import (
    BoundaryNetwork,
    build_boundary_network,
    load_boundary_network,
    save_boundary_network,
)
from wsss.models.classifier import build_classifier
from wsss.models.config import ClassifierConfig

CLASSES = Classes(("background", "cat"), ((0,), (1,)))


def network(**config: object) -> BoundaryNetwork:
    torch.manual_seed(0)
    classifier = build_classifier(ClassifierConfig.model_validate(config), classes=1)
    return build_boundary_network(classifier, channels=8, stride=4).eval()


@pytest.mark.parametrize(
    ("name", "widths"),
    [("mobilenet_v2", [24, 32, 96, 320]), ("resnet18", [64, 128, 256, 512]), ("resnet50", [256, 512, 1024, 2048])],
)
def test_levels_end_at_each_stride(name: str, widths: list[int]) -> None:
    built = network(backbone={"name": name, "weights": "none", "output_stride": 16})
    levels = built.features(torch.zeros(1, 3, 64, 96))
    assert [level.shape[1] for level in levels] == widths
    assert [(64 // level.shape[2], 96 // level.shape[3]) for level in levels] == [(4, 4), (8, 8), (16, 16), (16, 16)]
    assert [level.stride for level in built.head.levels] == [4, 8, 16, 16]


def test_a_small_network_has_levels_too() -> None:
    built = network(convnet={"widths": [8, 8]})
    assert [level.stride for level in built.head.levels] == [1, 1]
    assert built(torch.rand(2, 3, 17, 30)).shape == (2, 5, 8)


def test_a_transformer_has_levels_of_one_stride() -> None:
    built = network(backbone={"name": "timm/vit_tiny_patch16_224", "weights": "none", "output_stride": None})
    assert {(level.stride, level.offset) for level in built.head.levels} == {(16, 7.5)}
    assert built(torch.rand(1, 3, 50, 71)).shape == (1, 13, 18)


@pytest.mark.parametrize("size", [(64, 64), (50, 71), (17, 33)])
def test_boundaries_of_a_mirror_image_are_mirrored(size: tuple[int, int]) -> None:
    built = network(backbone={"name": "mobilenet_v2", "weights": "none"})
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    first, other = built.boundaries(image), built.boundaries(image.flip(2))
    assert first.shape == (-(-size[0] // 4), -(-size[1] // 4))
    torch.testing.assert_close(other.flip(1), first)
    assert float(first.min()) > 0 and float(first.max()) < 1


def test_only_the_head_is_trained_and_the_trunk_stays_in_evaluation_mode() -> None:
    built = network(backbone={"name": "resnet18", "weights": "none"}).train()
    assert {name.split(".")[0] for name, value in built.named_parameters() if value.requires_grad} == {"head"}
    before = {name: value.clone() for name, value in built.state_dict().items()}
    built(torch.rand(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())


@pytest.mark.parametrize("config", [{"backbone": {"name": "mobilenet_v2", "weights": "none"}}, {"convnet": {}}])
def test_a_saved_network_is_the_same(tmp_path: Path, config: dict[str, object]) -> None:
    built, image = network(**config), torch.randint(0, 256, (3, 40, 52), dtype=torch.uint8)
    save_boundary_network(tmp_path, built, CLASSES)
    loaded, classes = load_boundary_network(tmp_path)
    assert classes == CLASSES
    assert torch.equal(loaded.boundaries(image), built.boundaries(image))
