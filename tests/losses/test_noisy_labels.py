"""Losses that tolerate wrong labels, against loops over pixels and their limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wsss.losses import BootstrapLoss, LabelDistributionLoss, SymmetricCrossEntropyLoss, build

CASES: list[dict[str, Any]] = [
    {"name": "symmetric_ce", "ce_weight": 0.1, "reverse_weight": 2.0, "log_zero": -6.0},
    {"name": "bootstrap", "label_weight": 0.7},
    {"name": "bootstrap", "label_weight": 0.7, "prediction": "hard"},
    {"name": "label_distribution", "temperature": 2.5, "margin": 0.3},
]


def case() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 3, (2, 4, 5), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    return torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64) * 2, target


def of_pixel(z: list[float], t: int, loss: dict[str, Any]) -> float:
    """The formulas, for one pixel."""
    exponentials = [math.exp(value) for value in z]
    p = [value / sum(exponentials) for value in exponentials]
    if loss["name"] == "symmetric_ce":
        reverse = -sum(p[c] * (0.0 if c == t else loss["log_zero"]) for c in range(len(z)))
        return -loss["ce_weight"] * math.log(p[t]) + loss["reverse_weight"] * reverse
    if loss["name"] == "bootstrap":
        hard = loss.get("prediction") == "hard"
        own = [float(value == max(p)) for value in p] if hard else p
        weight = loss["label_weight"]
        mixed = [weight * (c == t) + (1 - weight) * own[c] for c in range(len(z))]
        return -sum(share * math.log(value) for share, value in zip(mixed, p, strict=True))
    temperature, margin = loss["temperature"], loss["margin"]
    terms = [math.exp((value + margin * (c != t) - z[t]) / temperature) for c, value in enumerate(z)]
    return float(temperature * math.log(sum(terms)))


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_equal_to_a_loop(settings: dict[str, Any]) -> None:
    logits, target = case()
    pixels = [index for index in np.ndindex(*target.shape) if target[index] != 255]
    values = [of_pixel(logits[b, :, y, x].tolist(), int(target[b, y, x]), settings) for b, y, x in pixels]
    loss = build(settings["name"], **settings)(logits, target)
    assert loss.item() == pytest.approx(np.mean(values), rel=1e-9)


@pytest.mark.parametrize("settings", CASES[:3], ids=str)
def test_one_hot_probabilities_equal_indices(settings: dict[str, Any]) -> None:
    logits, target = case()
    one_hot = torch.nn.functional.one_hot(target.clamp(max=2), 3).permute(0, 3, 1, 2).double()
    one_hot = one_hot * (target != 255).unsqueeze(1)
    loss = build(settings["name"], **settings)
    assert loss(logits, one_hot).item() == pytest.approx(loss(logits, target).item(), rel=1e-9)


def test_they_become_cross_entropy() -> None:
    logits, target = case()
    ce = build("ce")(logits, target).item()
    assert SymmetricCrossEntropyLoss(reverse_weight=0)(logits, target).item() == pytest.approx(ce)
    assert BootstrapLoss(label_weight=1)(logits, target).item() == pytest.approx(ce)
    assert LabelDistributionLoss(margin=0)(logits, target).item() == pytest.approx(ce)


def test_a_wrong_label_pulls_less_than_in_cross_entropy() -> None:
    """At a confidently contradicted label, the gradient of cross-entropy is about 1, that of these losses smaller."""
    target = torch.tensor([[[1]]])
    pulls = {}
    for name, settings in {
        "ce": {},
        "symmetric_ce": {"ce_weight": 0.1},
        "bootstrap": {"label_weight": 0.6, "prediction": "hard"},
        "label_distribution": {"temperature": 50.0},
    }.items():
        logits = torch.tensor([[[[6.0]], [[0.0]]]], requires_grad=True)
        build(name, **settings)(logits, target).backward()
        assert logits.grad is not None
        pulls[name] = -float(logits.grad[0, 1])
    assert all(0 < pulls[name] < 0.7 * pulls["ce"] for name in pulls if name != "ce")
