"""The weight of the background: equal to weighted probabilities, and the largest that reaches a share."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsss.models.config import SegmenterConfig
from wsss.models.segmentation_networks.background_weight import (
    GRID,
    LIMIT,
    foreground_fraction,
    matching_weight,
    sampled_probabilities,
    weight_background,
)
from wsss.models.segmentation_networks.inference import class_probabilities
from wsss.models.segmentation_networks.segmenters import SegmentationNetwork, build_segmenter

NETWORKS: dict[str, dict[str, Any]] = {
    "deeplabv3": {"head": "deeplabv3", "backbone": {"weights": "none"}},
    "lraspp": {"head": "lraspp", "backbone": {"weights": "none"}},
    "dynunet": {"head": "dynunet", "unet": {"levels": 4, "filters": [4, 6, 8, 10], "deep_supervision": 1}},
}


def network_of(head: str) -> SegmentationNetwork:
    """Return a random network of four classes, whose probabilities differ from pixel to pixel."""
    torch.manual_seed(0)
    network = build_segmenter(SegmenterConfig.model_validate(NETWORKS[head]), 4).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def noise(side: int = GRID) -> NDArray[np.uint8]:
    """Return a picture of noise."""
    return np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("head", NETWORKS)
def test_the_bias_multiplies_the_probability_of_the_background(head: str) -> None:
    network, image = network_of(head), noise(48)[None]
    before = class_probabilities(network, image)[0].double()
    weighted = copy.deepcopy(network)
    weight_background(weighted, 0.3)
    expected = before * torch.tensor([0.3, 1, 1, 1])[:, None, None]
    after = class_probabilities(weighted, image)[0].double()
    torch.testing.assert_close(after, expected / expected.sum(0), rtol=0, atol=1e-5)
    changed = [name for name, value in weighted.state_dict().items() if not value.equal(network.state_dict()[name])]
    assert len(changed) == 1
    difference = weighted.state_dict()[changed[0]] - network.state_dict()[changed[0]]
    assert difference.nonzero().tolist() == [[0]]


@pytest.mark.parametrize("weight", [0.4, 1.0, 2.5])
def test_the_fraction_is_that_of_the_masks_of_the_weighted_network(weight: float) -> None:
    network, image = network_of("lraspp"), noise()  # at this size, every pixel is a point of the grid
    share = foreground_fraction(
        sampled_probabilities(network, image, scales=(1, 0.5), flip=True, max_side=None), weight
    )
    weight_background(network, weight)
    # Averaged at the size of the image, as in predict; the half scale is interpolated before the weight in one, after
    # it in the other.
    masks = class_probabilities(network, image[None], scales=(1, 0.5), flip=True)[0].argmax(0)
    assert share == pytest.approx((masks != 0).double().mean().item(), abs=0.02)
    alone = sampled_probabilities(network, image, scales=(1,), flip=True, max_side=None)
    masks = class_probabilities(network, image[None], flip=True)[0].argmax(0)
    assert foreground_fraction(alone, 1) == (masks != 0).double().mean().item()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 176))
def test_the_largest_weight_that_reaches_the_fraction(seed: int, points: int) -> None:
    share = (points + 0.5) / 180  # between two possible shares, which rounding may place on either side of themselves
    generator = np.random.default_rng(seed)
    images = [generator.dirichlet([2.0, 0.5, 0.7], (2, 60)).transpose(0, 2, 1).astype(np.float32) for _ in range(3)]
    weight = matching_weight(images, share)
    assert weight is not None

    def reached(factor: float) -> float:
        odds = [views * np.array([factor, 1, 1])[:, None] for views in images]
        masks = [(each / each.sum(1, keepdims=True)).mean(0).argmax(0) for each in odds]
        return float(np.mean([mask != 0 for mask in masks]))

    assert reached(weight * (1 - 1e-4)) >= share
    assert reached(weight * (1 + 1e-4)) < share


@pytest.mark.parametrize(("background", "share"), [(0.0, 0.5), (1.0, 0.5)])
def test_no_weight_changes_certain_probabilities(background: float, share: float) -> None:
    views = np.stack([np.full((1, 9), background, np.float32), np.full((1, 9), 1 - background, np.float32)], 1)
    assert matching_weight([views], share) is None


def test_weights_have_a_limit() -> None:
    odds = LIMIT * 2
    views = np.array([[[odds / (1 + odds)], [1 / (1 + odds)]]], np.float32)
    assert matching_weight([views], 0.5) is None
    odds = LIMIT / 2
    views = np.array([[[odds / (1 + odds)], [1 / (1 + odds)]]], np.float32)
    assert matching_weight([views], 0.5) == pytest.approx(1 / odds, rel=1e-3)
