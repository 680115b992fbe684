"""Skeleton Recall against the definition of the paper's code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from skimage.morphology import dilation, skeletonize
from torch import Tensor
from torch.autograd import gradcheck

from wsss.losses import build
from wsss.losses.topological.skeleton_recall import SkeletonRecallLoss, dilated_skeleton


def term(**keys: Any) -> SkeletonRecallLoss:
    return SkeletonRecallLoss(**{"base_weight": 0, **keys})


def case(classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, classes, 30, 40, generator=generator)
    field = torch.nn.functional.avg_pool2d(torch.randn(2, classes, 30, 40, generator=generator), 7, 1, 3)
    return logits, field.argmax(1)


def reference(logits: Tensor, target: Tensor, smooth: float = 1.0) -> float:
    probabilities = logits.softmax(1).double().numpy()
    result, whole = np.zeros(logits.shape[1]), np.zeros(logits.shape[1])
    for image, label in enumerate(target.numpy()):
        thin = skeletonize(label > 0).astype(np.uint8)
        tube = dilation(dilation(thin)) * label
        for c in range(1, logits.shape[1]):
            result[c] += probabilities[image, c][tube == c].sum()
            whole[c] += (tube == c).sum()
    return 1 - float(np.mean((result[1:] + smooth) / (whole[1:] + smooth)))


@pytest.mark.parametrize("classes", [2, 4])
def test_value_equals_the_reference(classes: int) -> None:
    logits, target = case(classes)
    assert term()(logits, target).item() == pytest.approx(reference(logits, target), abs=1e-6)


@pytest.mark.parametrize("dilations", [0, 1, 2])
def test_tubes_lie_inside_their_class(dilations: int) -> None:
    labels = torch.zeros(2, 9, 20, dtype=torch.bool)
    labels[0, 2:7, :10] = labels[1, 2:7, 10:] = True
    result = dilated_skeleton(labels, dilations)
    assert not (result & ~labels).any()
    assert result.any(-1)[0].sum() == min(5, 1 + 2 * dilations)


def test_gradcheck_and_ignored_pixels() -> None:
    logits, target = case(3)
    logits, target = logits[..., :6, :7].double().requires_grad_(), target[..., :6, :7].clone()
    target[0, :3] = 255
    assert gradcheck(lambda x: SkeletonRecallLoss()(x, target), logits)
    term()(logits, target).backward()
    assert logits.grad is not None and not logits.grad[0, :, :3].any()


@pytest.mark.parametrize("value", [0, 255])
def test_empty_labels_have_zero_loss(value: int) -> None:
    logits = case(3)[0].requires_grad_()
    loss = term()(logits, torch.full((2, 30, 40), value))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_a_ring_around_another_class_has_no_skeleton() -> None:
    """As in docs/losses.md; the losses recommended there detect the ring."""
    rows, columns = np.mgrid[:41, :41] - 20
    radius = np.hypot(rows, columns)
    target = torch.from_numpy((radius < 15).astype(np.int64) + (radius >= 11) * (radius < 15))[None]
    missed = 40 * torch.nn.functional.one_hot(target * (target < 2), 3).movedim(-1, 1).float()
    assert (target == 1).any() and (target == 2).any()
    assert term()(missed, target).item() == 0
    settings = {"cldice": {}, "cbdice": {}, "betti_matching": {"frame": "own-max"}}
    values = {
        name: build(name, base_weight=0, alpha=1, **keys)(missed, target).item() for name, keys in settings.items()
    }
    assert values == pytest.approx({"cldice": 0.98, "cbdice": 0.95, "betti_matching": 1.5}, abs=0.005)
