"""Ignored pixels (255) and NaN, in every loss with every base."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lossconfigs import built, every_config, label
from torch import Tensor

from wsss.losses.base import Loss
from wsss.losses.topological.topo_window import TopoWindowLoss

EVERY = pytest.mark.parametrize("keys", every_config(), ids=label)

NOT_NUMBERS = (float("nan"), float("inf"), float("-inf"))


def case(seed: int, classes: int = 2, share: float = 0.3, size: tuple[int, int] = (11, 9)) -> tuple[Tensor, Tensor]:
    """Logits ``(2, C, H, W)`` that differ everywhere, and blurred labels with a blob and single pixels of 255."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, max(classes, 2), *size, generator=generator)
    target = F.avg_pool2d(torch.randn(logits.shape, generator=generator), 3, 1, 1).argmax(1)
    blob = F.avg_pool2d(torch.randn(2, 1, *size, generator=generator), 5, 1, 2)[:, 0]
    target[blob > blob.flatten().quantile(1 - share / 2)] = 255
    target[torch.rand(target.shape, generator=generator) < share / 2] = 255
    return (logits[:, 1:2] if classes == 1 else logits), target


def value_and_gradient(loss: Loss, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    given_ = logits.clone().requires_grad_()
    value = loss(given_, target)
    value.backward()
    assert given_.grad is not None
    return value.detach(), given_.grad


def under_ignore(logits: Tensor, target: Tensor, values: Tensor | float) -> Tensor:
    """Replace the logits of ignored pixels."""
    ignored = (target == 255).unsqueeze(1).expand_as(logits)
    return torch.where(ignored, torch.as_tensor(values, dtype=logits.dtype), logits)


@EVERY
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), classes=st.sampled_from([1, 2, 3]), share=st.sampled_from([0.1, 0.4, 0.9]))
def test_predictions_under_255_change_neither_value_nor_gradient(
    keys: dict[str, Any], seed: int, classes: int, share: float
) -> None:
    logits, target = case(seed, classes, share)
    loss = built(keys)
    value, gradient = value_and_gradient(loss, logits, target)
    assert torch.isfinite(value) and torch.isfinite(gradient).all()
    assert not gradient[(target == 255).unsqueeze(1).expand_as(gradient)].any()
    others = 20 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed + 1))
    for changed in (others, 1e30, *NOT_NUMBERS):
        result = value_and_gradient(loss, under_ignore(logits, target, changed), target)
        assert torch.equal(result[0], value), changed
        assert torch.equal(result[1], gradient), changed


@EVERY
def test_nan_at_ignored_pixels_has_zero_loss(keys: dict[str, Any]) -> None:
    loss = built(keys)
    for classes, not_a_number in itertools.product((1, 2, 3), NOT_NUMBERS):
        logits = torch.full((2, classes, 6, 5), not_a_number)
        value, gradient = value_and_gradient(loss, logits, torch.full((2, 6, 5), 255))
        assert value.item() == 0 and not gradient.any(), (classes, not_a_number)


@EVERY
def test_soft_targets_ignore_where_all_probabilities_are_0(keys: dict[str, Any]) -> None:
    classes = 3
    logits, target = case(5, classes)
    soft = F.one_hot(target.where(target != 255, 0), classes).movedim(-1, 1).float()
    soft *= (target != 255).unsqueeze(1)
    value, gradient = value_and_gradient(built(keys), logits, soft)
    for changed in (7.0, *NOT_NUMBERS):
        result = value_and_gradient(built(keys), under_ignore(logits, target, changed), soft)
        assert torch.equal(result[0], value) and torch.equal(result[1], gradient), changed


@EVERY
@pytest.mark.parametrize("classes", [1, 3])
def test_one_nan_at_any_labelled_pixel_gives_nan(keys: dict[str, Any], classes: int) -> None:
    logits, target = case(3, classes, size=(5, 6))
    loss = built(keys)
    for image, row, column in np.argwhere(target.numpy() != 255):
        broken = logits.clone()
        broken[image, classes - 1, row, column] = float("nan")
        value, gradient = value_and_gradient(loss, broken, target)
        assert torch.isnan(value), (image, row, column)
        assert not torch.isfinite(gradient).all(), "an optimiser's step can't go unnoticed either"


@EVERY
def test_ignored_pixels_before_the_term_counts(keys: dict[str, Any]) -> None:
    logits, target = case(8)
    loss = built({**keys, **({"active_from": 5} if "base" in keys or keys["name"] == "topo" else {})})
    loss.begin_step(0, 10)
    value, gradient = value_and_gradient(loss, logits, target)
    result = value_and_gradient(loss, under_ignore(logits, target, float("nan")), target)
    assert torch.equal(result[0], value) and torch.equal(result[1], gradient)


@pytest.mark.filterwarnings("ignore::wsss.losses.targets.OnlyBackground")
@pytest.mark.parametrize("gaps", ["keep", "close"])
def test_topo_treats_ignored_pixels_as_correct(gaps: str) -> None:
    """A false wall with ignored pixels does not divide its region; only its labelled pixels are penalised."""
    target = torch.zeros(1, 32, 32, dtype=torch.int64)
    margin = torch.full((1, 1, 32, 32), -3.0)
    margin[0, 0, 16] = 3
    loss = TopoWindowLoss(base_weight=0, alpha=1, beta=1, gaps=gaps, window=32, d_max=10)
    assert loss(margin, target).item() > 10, "half of all pairs are in different halves"
    target[0, 16, 10:20] = 255
    assert loss(margin, target).item() == pytest.approx(22 * 1024 / (1024 * 1023 / 2) * 25, rel=0.03)
    target[0, 16] = 255
    assert loss(margin, target).item() == 0
