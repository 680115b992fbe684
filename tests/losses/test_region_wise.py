"""Region-wise loss against its formula with rectified maps, and on degenerate masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.autograd import gradcheck

from wsss.losses.region_wise import RegionWiseLoss, region_wise_weights


def case(classes: int, size: tuple[int, int] = (20, 23)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(2, classes, *size, generator=generator, dtype=torch.float64)
    field = torch.nn.functional.avg_pool2d(torch.randn(2, classes, *size, generator=generator), 7, 1, 3)
    return logits, field.argmax(1)


def rectified_maps(target: Tensor, classes: int) -> Tensor:
    """The paper's z: −d / max d inside a class, 1 outside; 0 where pixels are ignored."""
    maps = np.ones((len(target), classes, *target.shape[1:]))
    for image, label in enumerate(target.numpy()):
        for k in range(classes):
            inside = label == k
            if inside.any():
                distances = distance_transform_edt(inside)
                maps[image, k][inside] = -(distances / distances.max())[inside]
        maps[image, :, label == 255] = 0
    return torch.from_numpy(maps)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("ignored", [False, True])
def test_value_and_gradient_are_those_of_the_formula(classes: int, ignored: bool) -> None:
    logits, target = case(classes)
    if ignored:
        target[0, 5:9, 3:] = 255
        target[1, :, :4] = 255
    maps = rectified_maps(target, classes)
    counted = classes * (target != 255).sum()
    values, grads = [], []
    for loss in (RegionWiseLoss(), lambda x, _: (x.softmax(1) * maps).sum() / counted):
        x = logits.clone().requires_grad_()
        value = loss(x, target)
        value.backward()
        assert x.grad is not None
        values.append(value.item())
        grads.append(x.grad)
    assert values[0] == pytest.approx(values[1] - (maps.amin(1).sum() / counted).item(), abs=1e-7)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-10)


def test_errors_deep_inside_a_region_cost_twice_as_much() -> None:
    target = torch.zeros(1, 21, 21, dtype=torch.int64)
    target[0, 6:15, 6:15] = 1
    weights = region_wise_weights(torch.stack([target[0] == 0, target[0] == 1]))
    assert weights[10, 10] == 2 and weights[6, 6] == pytest.approx(1 + 1 / 5) and weights[0, 0] == 2
    assert weights.min() > 1


def test_gradcheck_and_ignored_pixels() -> None:
    logits, target = case(3, size=(5, 6))
    target[0, :3] = 255
    loss = RegionWiseLoss()
    assert gradcheck(lambda x: loss(x, target), logits.requires_grad_())
    loss(logits, target).backward()
    assert logits.grad is not None and not logits.grad[0, :, :3].any() and logits.grad[0, :, 3:].all()


@pytest.mark.parametrize("value", [0, 1, 255])
def test_never_nan_for_one_class_or_none(value: int) -> None:
    logits = case(3)[0].requires_grad_()
    loss = RegionWiseLoss()(logits, torch.full((2, 20, 23), value))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()
    assert (loss.item() == 0) == (value == 255) == (not logits.grad.any())


def test_maps_are_computed_once_per_sample() -> None:
    logits, target = case(3)
    loss = RegionWiseLoss()
    first = loss(logits, target)
    assert len(loss.cache.results) == 2 and loss.cache.size == 2 * 4 * 20 * 23
    assert torch.equal(loss(logits.flip(0), target.flip(0)), first) and len(loss.cache.results) == 2
    assert torch.equal(RegionWiseLoss(cache_mb=0)(logits, target), first)
