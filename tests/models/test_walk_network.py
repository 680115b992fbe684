"""Features and self-attention of networks as affinities: values, positions, refused networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wsss.data.classes import Classes
from wsss.errors import InvalidInput
from wsss.models.affinity_networks.feature_grid import on_grid
from wsss.models.affinity_networks.walk_network import (
    WalkNetwork,
    build_walk_network,
    check_backbone,
    load_walk_network,
)
from wsss.models.classifier import build_classifier, save_classifier
from wsss.models.config import BackboneConfig, ClassifierConfig
from wsss.models.trunk import Level

pytest.importorskip("timm")

MOBILENET = BackboneConfig(weights="none")
VIT = BackboneConfig(name="timm/test_vit", output_stride=None, weights="none")


def network(config: BackboneConfig) -> WalkNetwork:
    torch.manual_seed(0)
    return build_walk_network(config)


def picture(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.manual_seed(1))


@pytest.mark.parametrize("levels", [(-1,), (0, 3), (1, -1)])
def test_products_are_mean_cosines_of_features(levels: Sequence[int]) -> None:
    """At two elements whose centres are features, so that nothing is interpolated."""
    built, image = network(MOBILENET), picture(64, 96)
    features = built.trunk.features(built.normalise(image[None]))
    vectors = built.vectors(image, (64, 96), levels)
    similarity = float(vectors[16, 32] @ vectors[48, 64])
    cosines = []
    for index in levels:
        stride = built.trunk.levels[index].stride
        one, other = (
            features[index][0, :, 16 // stride, 32 // stride],
            features[index][0, :, 48 // stride, 64 // stride],
        )
        cosines.append(float(one @ other / (one.norm() * other.norm())))
    assert similarity == pytest.approx(sum(cosines) / len(levels), abs=1e-4)
    assert float(vectors.norm(dim=2).max()) <= 1 + 1e-5


def test_the_last_features_of_a_transformer_are_normalised() -> None:
    built, image = network(VIT), picture(48, 64)
    last = built.trunk(built.normalise(image[None])).high
    vectors = built.vectors(image, (48, 64), (-1,))
    level = built.trunk.levels[-1]
    expected = torch.nn.functional.normalize(on_grid(last, level, (48, 64), (48, 64))[0], dim=0)
    torch.testing.assert_close(vectors, expected.permute(1, 2, 0))


@pytest.mark.parametrize(("config", "centre"), [(MOBILENET, 16.0), (VIT, 16 + 7.5)])
def test_features_are_placed_where_the_trunk_declares_them(config: BackboneConfig, centre: float) -> None:
    """A one in feature (1, 2) peaks at its declared pixel, not half a patch away from it."""
    level = network(config).trunk.levels[-1]
    features = torch.zeros(1, 1, 5, 6)
    features[0, 0, 1, 2] = 1
    placed = on_grid(features, level, (80, 96), (80, 96))[0, 0]
    rows, columns = (placed.sum(axis) / placed.sum() @ torch.arange(float(n)) for axis, n in ((1, 80), (0, 96)))
    assert (float(rows), float(columns)) == pytest.approx((centre, centre + 16), abs=1e-3)


def manual_attention(built: WalkNetwork, image: Tensor, blocks: int) -> Tensor:
    """Queries and keys from the inputs of the blocks' attention, with loops over heads; timm's own layers."""
    vit: Any = built.trunk.high
    inputs: list[Tensor] = []
    hooks = [block.attn.register_forward_hook(lambda _, args, out: inputs.append(args[0])) for block in vit.blocks]
    built.trunk.features(built.normalise(image[None]))
    for hook in hooks:
        hook.remove()
    total = torch.zeros(())
    for block, tokens in list(zip(vit.blocks, inputs, strict=True))[-blocks:]:
        layer = block.attn
        queries, keys, _ = layer.qkv(tokens)[0].chunk(3, dim=1)
        for head in range(layer.num_heads):
            part = slice(head * layer.head_dim, (head + 1) * layer.head_dim)
            q, k = layer.q_norm(queries[:, part]), layer.k_norm(keys[:, part])
            total = total + (q @ k.T / layer.head_dim**0.5).softmax(1) / (layer.num_heads * blocks)
    first = vit.num_prefix_tokens
    return total[first:, first:]


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3"])
@pytest.mark.parametrize("blocks", [1, 2])
def test_attention_equals_that_of_queries_and_keys(name: str, blocks: int) -> None:
    built, image = network(VIT.model_copy(update={"name": f"timm/{name}"})), picture(37, 52)
    with torch.no_grad():
        expected = manual_attention(built, image, blocks)
    attention = built.attention(image, blocks)
    stride = built.trunk.output_stride
    assert len(attention) == -(-37 // stride) * -(-52 // stride)
    torch.testing.assert_close(attention, expected, atol=1e-6, rtol=1e-4)
    assert float(attention.sum(1).max()) <= 1 + 1e-5


def test_patches_are_interpolated_at_their_centres() -> None:
    built = network(VIT)
    rows, columns = built.patch_interpolation((37, 52), (10, 13))
    assert rows.shape == (10, 3) and columns.shape == (13, 4)
    pixels = (np.arange(10) + 0.5) * 3.7 - 0.5
    centres = np.clip(pixels, 7.5, 7.5 + 32)  # beyond the outer patches, their value
    np.testing.assert_allclose(rows.numpy() @ (7.5 + 16 * np.arange(3)), centres, rtol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        MOBILENET,
        BackboneConfig(name="timm/test_convnext", output_stride=None, weights="none"),
        BackboneConfig(name="timm/test_efficientnet", output_stride=None, weights="none"),
        BackboneConfig(name="timm/swin_tiny_patch4_window7_224", output_stride=None, weights="none"),
    ],
)
def test_networks_without_attention_between_all_patches_are_refused(config: BackboneConfig) -> None:
    with pytest.raises(InvalidInput) as error:
        check_backbone(config, blocks=1)
    assert str(error.value).startswith("affinity: attention requires a vision transformer of timm, such as")
    assert "got" not in error.value.message


def test_attention_within_windows_is_refused() -> None:
    """Imitated by a layer after the softmax that leaves fewer tokens, as each window has."""
    built = network(VIT)
    built.trunk.high.blocks[-1].attn.attn_drop = torch.nn.AdaptiveAvgPool2d(4)  # type: ignore[union-attr, index]
    with pytest.raises(InvalidInput) as error:
        built.attention(picture(48, 64), 1)
    assert "not between all patches" in error.value.problem


def test_more_blocks_than_there_are_are_refused() -> None:
    with pytest.raises(InvalidInput) as error:
        check_backbone(VIT, blocks=99)
    assert error.value.subject == "attention_blocks"
    check_backbone(VIT, blocks=2)


@pytest.mark.parametrize("levels", [(4,), (-5,), (0, 7)])
def test_unknown_levels_are_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput) as error:
        check_backbone(MOBILENET, levels=levels)
    assert error.value.subject == "feature_levels" and "strides 4, 8, 16, 16" in error.value.problem
    check_backbone(MOBILENET, levels=(0, -4))


def test_the_trunk_of_a_classifier_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = build_classifier(ClassifierConfig(backbone=MOBILENET), 1).eval()
    save_classifier(tmp_path, classifier, Classes(("background", "cat"), ((0,), (1,))))
    image = picture(33, 40)
    loaded = load_walk_network(tmp_path)
    expected = WalkNetwork(classifier.backbone, classifier.normalise, name="x", origin=classifier.origin)
    assert torch.equal(loaded.vectors(image, (9, 10), (0, -1)), expected.vectors(image, (9, 10), (0, -1)))
    assert loaded.name == "mobilenet_v2"


def test_a_level_with_an_offset_differs_from_one_without() -> None:
    features = torch.rand(1, 2, 4, 5)
    one, other = (on_grid(features, Level(2, 8, offset), (32, 40), (8, 10)) for offset in (0.0, 3.5))
    assert not torch.allclose(one, other)
