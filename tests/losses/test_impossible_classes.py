"""Logits of −∞: classes that are impossible at a pixel, against the limit of very small logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lossconfigs import built, every_config, label
from torch import Tensor

from wsss.losses import BootstrapLoss, CrossEntropyLoss, Loss, TopoWindowLoss

CONFIGS = [keys for keys in every_config() if keys["name"] != "topo" and not keys.get("label_smoothing")]
"""All but the losses that are infinite in the limit: `topo` regresses the log-odds, and label smoothing needs every
class."""

SMALL = -1e4
"""Its exponential is 0, and its product with 0, too."""


def case(classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits ``(2, C, 9, 8)``, class indices with 255, and where a class other than the label is impossible."""
    generator = torch.Generator().manual_seed(classes)
    logits = 2 * torch.randn(2, classes, 9, 8, generator=generator)
    target = torch.randint(0, max(classes, 2), (2, 9, 8), generator=generator)
    indices = torch.arange(classes).view(1, -1, 1, 1) + (classes == 1)
    impossible = (torch.rand(logits.shape, generator=generator) < 0.5) & (indices != target.unsqueeze(1))
    target[torch.rand(target.shape, generator=generator) < 0.1] = 255
    return logits, target, impossible


def value_and_gradient(loss: Loss, logits: Tensor, target: Tensor, impossible: Tensor, fill: float) -> list[Tensor]:
    leaf = logits.clone().requires_grad_()
    value = loss(leaf.masked_fill(impossible, fill), target)
    (gradient,) = torch.autograd.grad(value, leaf)
    return [value.detach(), gradient]


def check_limit(loss: Loss, logits: Tensor, target: Tensor, impossible: Tensor) -> None:
    expected = value_and_gradient(loss, logits, target, impossible, SMALL)
    found = value_and_gradient(loss, logits, target, impossible, float("-inf"))
    assert torch.isfinite(expected[0]) and expected[1].any()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("keys", CONFIGS, ids=label)
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_class_indices(keys: dict[str, Any], classes: int) -> None:
    check_limit(built(keys), *case(classes))


@pytest.mark.parametrize("keys", CONFIGS, ids=label)
@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities(keys: dict[str, Any], classes: int) -> None:
    logits, target, impossible = case(classes)
    soft = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)).masked_fill(impossible, -torch.inf)
    check_limit(built(keys), logits, soft.softmax(1) * (target != 255).unsqueeze(1), impossible)


def test_second_derivatives() -> None:
    logits, _, impossible = case(3)
    for loss in (BootstrapLoss(label_weight=0.3), CrossEntropyLoss()):
        leaf = logits.clone().requires_grad_()
        soft = torch.zeros_like(logits).masked_fill(impossible, -torch.inf).softmax(1)
        value = loss(leaf.masked_fill(impossible, -torch.inf), soft)
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), leaf)
        assert torch.isfinite(second).all() and second.any()


@pytest.mark.parametrize("soft", [False, True])
def test_an_impossible_label_costs_infinitely_much(soft: bool) -> None:
    logits = torch.tensor([[[[0.0]], [[-torch.inf]], [[0.0]]]])
    target = torch.tensor([[[[0.5]], [[0.5]], [[0.0]]]]) if soft else torch.tensor([[[1]]])
    assert CrossEntropyLoss()(logits, target).item() == torch.inf
    assert BootstrapLoss()(logits, target).item() == torch.inf


@pytest.mark.parametrize("classes", [1, 3])
def test_topo_without_a_structure(classes: int) -> None:
    """Nothing separates regions, and a prediction without structure divides none: the term is 0."""
    loss = TopoWindowLoss(base_weight=0, alpha=1, window=8, margin=1, d_min=2, d_max=4)
    logits, target = torch.zeros(1, classes, 9, 8), torch.zeros(1, 9, 8, dtype=torch.long)
    impossible = torch.ones_like(logits, dtype=torch.bool)
    impossible[:, 0] = classes == 1
    value, gradient = value_and_gradient(loss, logits, target, impossible, float("-inf"))
    assert value == 0 and not gradient.any()
