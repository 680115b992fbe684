"""The warping loss against its definition, and repairing the topology by gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from wsss.losses.topological.warping_loss import WarpingLoss
from wsss.topology import betti_numbers, warping_error_mask


def term(**keys: Any) -> WarpingLoss:
    return WarpingLoss(**{"base_weight": 0, "alpha": 1, **keys})


def case(seed: int = 0, classes: int = 2, size: tuple[int, int] = (30, 34)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    field = F.avg_pool2d(torch.randn(2, classes, *size, generator=generator), 5, 1, 2) * 20
    noise = F.avg_pool2d(torch.randn(2, classes, *size, generator=generator), 3, 1, 1) * 8
    return (field + noise).double(), field.argmax(1)


def ring() -> tuple[Tensor, Tensor]:
    """A ring, and margins of a prediction of it that is thinner, has a gap, and a speck far off."""
    target = torch.zeros(1, 20, 20, dtype=torch.int64)
    target[0, 3:15, 3:15] = 1
    target[0, 6:12, 6:12] = 0
    margin = torch.where(target == 1, 2.0, -2.0)
    margin[0, 3] = -1
    margin[0, 8, 3:6] = -1
    margin[0, 18, 18] = 1
    return margin, target


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("mean_over", ["all", "critical"])
def test_value_is_cross_entropy_where_the_topology_differs(connectivity: int, mean_over: str) -> None:
    logits, target = case()
    target[1, 4:9] = 255
    known = target != 255
    predicted = (logits[:, 1] > logits[:, 0]) & known
    critical = np.stack(
        [warping_error_mask(p, g == 1, connectivity=connectivity) for p, g in zip(predicted, target, strict=True)]
    )
    per_pixel = F.cross_entropy(logits, target, reduction="none", ignore_index=255)
    count = critical.sum() if mean_over == "critical" else int(known.sum())
    result = term(connectivity=connectivity, mean_over=mean_over)(logits, target)
    assert critical.any() and not critical[~known.numpy()].any()
    assert result.item() == pytest.approx(per_pixel[torch.from_numpy(critical)].sum().item() / count, rel=1e-12)


def test_of_several_classes_each_is_compared_with_the_rest() -> None:
    logits, target = case(1, 4)
    predicted = logits.argmax(1)
    critical = np.zeros(target.shape, bool)
    for image in range(2):
        for c in range(1, 4):
            critical[image] |= warping_error_mask(predicted[image] == c, target[image] == c)
    expected = F.cross_entropy(logits, target, reduction="none")[torch.from_numpy(critical)].sum() / target.numel()
    assert term()(logits, target).item() == pytest.approx(expected.item(), rel=1e-12)


def test_gaps_and_specks_are_penalised_and_thinner_walls_are_not() -> None:
    margin, target = ring()
    margin.requires_grad_()
    term()(margin[:, None], target).backward()
    assert margin.grad is not None
    moved = margin.grad[0].nonzero().tolist()
    assert [18, 18] in moved and all(row == 8 and 3 <= column < 6 for row, column in moved[:-1]) and len(moved) > 1
    thinner = margin.detach().clone()
    thinner[0, 8, 3:6] = 2
    thinner[0, 18, 18] = -2
    assert term()(thinner[:, None], target).item() == 0


def test_foreground_is_compared_with_foreground() -> None:
    """The published code uses the label's background, which exchanges correct and wrong predictions."""
    _, target = ring()
    right = torch.where(target == 1, 2.0, -2.0)
    assert term()(right[:, None], target).item() == 0
    assert term()(-right[:, None], target).item() > 0


def test_descending_repairs_the_topology() -> None:
    margin, target = ring()
    margin.requires_grad_()
    optimiser = torch.optim.SGD([margin], lr=1)
    loss = term(mean_over="critical")
    before = betti_numbers(margin[0].detach().numpy() > 0, connectivity=4)
    for _ in range(40):
        optimiser.zero_grad()
        loss(margin[:, None], target).backward()
        optimiser.step()
    after = betti_numbers(margin[0].detach().numpy() > 0, connectivity=4)
    assert before != (1, 1) and after == (1, 1)


@pytest.mark.slow
def test_gradcheck_and_ignored_pixels() -> None:
    logits, target = case(3, 3, (7, 8))
    target[0, :3] = 255
    assert gradcheck(lambda x: WarpingLoss()(x, target), logits.requires_grad_())
    term()(logits, target).backward()
    assert logits.grad is not None and logits.grad.any() and not logits.grad[0, :, :3].any()


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("margin", [-1000.0, 0.0, 1000.0])
def test_never_nan_on_empty_full_and_ignored_masks(value: int, margin: float) -> None:
    logits = torch.full((1, 1, 6, 7), margin, requires_grad=True)
    loss = term()(logits, torch.full((1, 6, 7), value))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()
    assert (loss.item() == 0) == (value == 255 or (margin > 0) == bool(value))


def test_threads_change_nothing() -> None:
    logits, target = case(5, 4)
    assert torch.equal(term(threads=1)(logits, target), term(threads=3)(logits, target))
