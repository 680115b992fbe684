"""Second derivatives (gradient penalties, Hessians) are complete, or an error."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lossconfigs import built, every_config, label
from torch import Tensor
from torch.autograd import gradgradcheck

from wsss.models.samplers import reverse_gradient

EVERY = every_config()
SPARSE = ("betti_matching", "topoloss")
"""Losses whose gradient is computed outside autograd."""


def case() -> tuple[Tensor, Tensor]:
    """Logits whose probabilities differ from each other by more than a finite difference, and a target with 255."""
    generator = torch.Generator().manual_seed(0)
    margins = torch.linspace(-2, 2, 40, dtype=torch.float64)[torch.randperm(40, generator=generator)].view(2, 1, 4, 5)
    target = torch.randint(0, 2, (2, 4, 5), generator=generator)
    target[0, 1:3, 2] = 255
    return torch.cat([-0.3 * margins, 0.7 * margins], 1), target


@pytest.mark.parametrize("keys", [keys for keys in EVERY if keys["name"] in SPARSE], ids=label)
def test_a_second_backward_pass_through_a_matching_is_refused(keys: dict[str, Any]) -> None:
    logits, target = case()
    logits.requires_grad_()
    loss = built(keys)
    (gradient,) = torch.autograd.grad(loss(logits, target), logits, create_graph=True)
    (plain,) = torch.autograd.grad(loss(logits, target), logits)
    assert torch.equal(gradient.detach(), plain)
    for differentiate in (
        lambda: gradient.square().sum().backward(retain_graph=True),
        lambda: torch.autograd.grad(gradient.sum(), logits, retain_graph=True),
    ):
        with pytest.raises(NotImplementedError):
            differentiate()


def test_a_weight_outside_the_loss_does_not_hide_it() -> None:
    logits, target = case()
    weight, logits = torch.ones((), dtype=torch.float64, requires_grad=True), logits.requires_grad_()
    loss = weight * built({"name": "betti_matching"})(logits, target).square()
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    with pytest.raises(NotImplementedError):
        torch.autograd.grad(gradient.sum(), weight)


def test_without_its_term_a_loss_has_second_derivatives() -> None:
    logits, target = case()
    loss = built({"name": "betti_matching", "alpha": 0})
    assert gradgradcheck(lambda x: loss(x, target), logits.requires_grad_())


@pytest.mark.parametrize("keys", [keys for keys in EVERY if keys["name"] not in SPARSE], ids=label)
def test_other_losses_have_second_derivatives(keys: dict[str, Any]) -> None:
    logits, target = case()
    loss = built(keys)
    assert gradgradcheck(lambda x: loss(x, target), logits.requires_grad_(), eps=1e-6, atol=1e-5)


def test_a_reversed_gradient_is_reversed_in_a_second_pass_too() -> None:
    x = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(reverse_gradient(x.pow(3), 0.3).sum(), x, create_graph=True)
    torch.testing.assert_close(gradient, -0.3 * 3 * x.pow(2))
    (second,) = torch.autograd.grad(gradient.sum(), x)
    torch.testing.assert_close(second, -0.3 * 6 * x)
