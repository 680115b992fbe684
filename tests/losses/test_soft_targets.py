"""Losses of soft targets: class probabilities instead of class indices."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wsss.losses import ClDiceLoss, CrossEntropyDiceLoss, CrossEntropyLoss, DiceLoss, Loss, SkeletonRecallLoss
from wsss.losses.base import hard, labelled
from wsss.losses.term import LossWithTerm

LOSSES: list[Loss] = [
    CrossEntropyLoss(),
    CrossEntropyLoss(label_smoothing=0.1),
    DiceLoss(),
    DiceLoss(background=False, absent="count", per_image=True, smooth=1.0),
    CrossEntropyDiceLoss(ce_weight=0.7),
    ClDiceLoss(),
    SkeletonRecallLoss(),
]
EVERY = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: repr(loss.config))


def case(classes: int, *, ignored: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, a target of indices, and the same target one-hot."""
    torch.manual_seed(classes)
    logits = torch.randn(2, classes, 12, 15, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, classes, (2, 12, 15))
    soft = F.one_hot(target, classes).movedim(-1, 1).double()
    if ignored:
        target[:, 3:6, 4:] = 255
        soft[:, :, 3:6, 4:] = 0
    return logits, target, soft


@EVERY
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("ignored", [False, True])
def test_one_hot_targets_are_hard_ones(loss: Loss, classes: int, ignored: bool) -> None:
    logits, target, soft = case(classes, ignored=ignored)
    first, second = loss(logits, target), loss(logits, soft)
    assert abs(first.item() - second.item()) < 1e-6
    (by_hard,) = torch.autograd.grad(first, logits, retain_graph=True)
    (by_soft,) = torch.autograd.grad(second, logits)
    torch.testing.assert_close(by_hard, by_soft, rtol=1e-6, atol=1e-9)


def test_cross_entropy_of_probabilities_is_torchs() -> None:
    logits, _, _ = case(3, ignored=False)
    soft = torch.rand(2, 3, 12, 15, dtype=torch.float64).softmax(1)
    for smoothing in (0.0, 0.2):
        loss = CrossEntropyLoss(label_smoothing=smoothing)
        torch.testing.assert_close(loss(logits, soft), F.cross_entropy(logits, soft, label_smoothing=smoothing))


def test_the_best_prediction_of_soft_targets_equals_them() -> None:
    soft = torch.rand(1, 3, 8, 8, dtype=torch.float64).softmax(1)
    logits = soft.log().requires_grad_()
    (gradient,) = torch.autograd.grad(CrossEntropyLoss()(logits, soft), logits)
    assert gradient.abs().max() < 1e-12


@EVERY
def test_ignored_batches_have_zero_loss(loss: Loss) -> None:
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)
    value = loss(logits, torch.zeros(1, 2, 8, 8))
    value.backward()
    assert float(value) == 0
    assert logits.grad is not None and not logits.grad.any()


def test_labelled_pixels_and_the_most_probable_class() -> None:
    soft = torch.tensor([[[0.2, 0.0, 0.5]], [[0.8, 0.0, 0.5]]]).unsqueeze(0)
    assert labelled(soft).tolist() == [[[True, False, True]]]
    assert hard(soft).tolist() == [[[1, 255, 0]]]
    target = torch.tensor([[[1, 255, 0]]])
    assert hard(target) is target


@pytest.mark.parametrize("loss", LOSSES[-2:], ids=lambda loss: repr(loss.config))
def test_the_term_uses_the_most_probable_class_and_the_base_the_probabilities(loss: LossWithTerm) -> None:
    logits, _, _ = case(2, ignored=False)
    soft = torch.rand(2, 2, 12, 15, dtype=torch.float64).softmax(1)
    config = loss.config
    expected = config.alpha * loss.term(logits, hard(soft)) + config.base_weight * loss.base(logits, soft)
    torch.testing.assert_close(loss(logits, soft), expected)
    assert abs(float(loss.base(logits, soft)) - float(loss.base(logits, hard(soft)))) > 1e-3
