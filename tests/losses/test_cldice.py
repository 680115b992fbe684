"""clDice against a plain implementation of the paper's algorithm, and on degenerate masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from wsss.losses.topological.cldice import ClDiceLoss, soft_skeleton


def term(**keys: Any) -> ClDiceLoss:
    return ClDiceLoss(**{"base_weight": 0, "alpha": 1, **keys})


def neighbours(image: Tensor, offsets: list[tuple[int, int]], largest: bool) -> Tensor:
    """Extreme value over neighbours, pixel by pixel."""
    result = image.clone()
    height, width = image.shape[-2:]
    for r in range(height):
        for c in range(width):
            inside = [(r + y, c + x) for y, x in offsets if 0 <= r + y < height and 0 <= c + x < width]
            values = torch.stack([image[..., y, x] for y, x in inside])
            result[..., r, c] = values.amax(0) if largest else values.amin(0)
    return result


CROSS = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
SQUARE = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def opened(image: Tensor) -> Tensor:
    return neighbours(neighbours(image, CROSS, largest=False), SQUARE, largest=True)


def plain_skeleton(image: Tensor, iterations: int) -> Tensor:
    skeleton = (image - opened(image)).relu()
    for _ in range(iterations):
        image = neighbours(image, CROSS, largest=False)
        removed = (image - opened(image)).relu()
        skeleton = skeleton + (removed - skeleton * removed).relu()
    return skeleton


def plain_loss(logits: Tensor, target: Tensor, iterations: int, smooth: float = 1.0) -> Tensor:
    probabilities = logits.softmax(1)
    labels = torch.nn.functional.one_hot(target, logits.shape[1]).movedim(-1, 1).to(logits)
    thin, thin_label = plain_skeleton(probabilities, iterations), plain_skeleton(labels, iterations)
    precision = ((thin * labels)[:, 1:].sum() + smooth) / (thin[:, 1:].sum() + smooth)
    sensitivity = ((thin_label * probabilities)[:, 1:].sum() + smooth) / (thin_label[:, 1:].sum() + smooth)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def case(seed: int = 0, classes: int = 2, size: tuple[int, int] = (11, 13)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, *size, generator=generator) * 2
    field = torch.randn(2, classes, *size, generator=generator)
    return logits, torch.nn.functional.avg_pool2d(field, 3, 1, 1).argmax(1)


@given(st.integers(0, 999), st.integers(0, 5), st.sampled_from([(1, 1), (1, 7), (6, 1), (2, 2), (9, 12)]))
@settings(max_examples=30)
def test_skeletons_equal_the_plain_ones(seed: int, iterations: int, size: tuple[int, int]) -> None:
    image = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(soft_skeleton(image, iterations), plain_skeleton(image, iterations))
    mask = (image > 0.4).double()
    assert torch.equal(soft_skeleton(mask, iterations), plain_skeleton(mask, iterations))


@pytest.mark.parametrize("iterations", [0, 1, 3, 10])
@pytest.mark.parametrize("classes", [2, 3])
def test_values_equal_the_plain_implementation(iterations: int, classes: int) -> None:
    logits, target = case(classes=classes)
    result = term(iterations=iterations)(logits, target)
    torch.testing.assert_close(result, plain_loss(logits, target, iterations), rtol=0, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_gradients_equal_the_plain_implementation(classes: int) -> None:
    logits, target = case(seed=2, classes=classes)
    grads = []
    for loss in (term(), lambda x, y: plain_loss(x, y, 3)):
        x = logits.double().requires_grad_()
        loss(x, target).backward()
        assert x.grad is not None
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_gradcheck() -> None:
    random = torch.randperm(2 * 2 * 5 * 6, generator=torch.Generator().manual_seed(0)).reshape(2, 2, 5, 6)
    logits = (random.double() / 60 - 1).requires_grad_()
    target = case(size=(5, 6))[1]
    target[0, 0, :3] = 255
    assert gradcheck(lambda x: ClDiceLoss()(x, target), logits, eps=1e-6, atol=1e-6)


def test_iterations_are_honoured() -> None:
    """A bar 9 pixels wide is thinned to its centre line after 4 erosions, not after 1."""
    bar = torch.zeros(1, 1, 21, 40)
    bar[..., 6:15, :] = 1
    assert soft_skeleton(bar, 1).sum() == 0
    centre = soft_skeleton(bar, 4)
    assert centre[0, 0, 10].sum() > 30 and centre[0, 0, :10].sum() + centre[0, 0, 11:].sum() == 0
    logits, target = torch.stack([-bar[:, 0], bar[:, 0]], 1), bar[:, 0].long()
    assert term(iterations=1)(logits, target) != term(iterations=4)(logits, target)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("margin", [-1000.0, 0.0, 1000.0])
def test_never_nan_on_empty_or_full_masks(label: int, margin: float) -> None:
    logits = torch.stack([torch.zeros(1, 6, 6), torch.full((1, 6, 6), margin)], 1).requires_grad_()
    loss = ClDiceLoss()
    value = loss(logits, torch.full((1, 6, 6), label))
    value.backward()
    assert torch.isfinite(value) and logits.grad is not None and torch.isfinite(logits.grad).all()
    if (margin > 0) == bool(label) and margin:
        assert value.item() == pytest.approx(0, abs=1e-6)


def test_labels_skeletons_are_computed_once_per_sample() -> None:
    logits, target = case()
    loss = term()
    calls = []
    compute = loss.cache.compute
    loss.cache.compute = lambda label: (calls.append(1), compute(label))[1]
    first = loss(logits, target)
    assert len(calls) == 2
    assert loss(logits, target.flip(0)).isfinite() and len(calls) == 2
    assert torch.equal(loss(logits, target), first)
    assert torch.equal(term(cache_mb=0)(logits, target), first)
    changed = target.clone()
    changed[0, 0, 0] = 1 - changed[0, 0, 0]
    loss(logits, changed)
    assert len(calls) == 3
