"""cbDice against its formula pixel by pixel, and on degenerate masks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize
from torch import Tensor
from torch.autograd import gradcheck

from wsss.losses import build
from wsss.losses.topological.cbdice import CbDiceLoss, centrelines


def term(**keys: Any) -> CbDiceLoss:
    return CbDiceLoss(**{"base_weight": 0, "alpha": 1, **keys})


def case(seed: int = 0, classes: int = 2, size: tuple[int, int] = (30, 34)) -> tuple[Tensor, Tensor]:
    """Blurred labels with noise as predictions, so that masks have something in common."""
    generator = torch.Generator().manual_seed(seed)
    field = torch.nn.functional.avg_pool2d(torch.randn(2, classes, *size, generator=generator), 7, 1, 3) * 20
    noise = torch.nn.functional.avg_pool2d(torch.randn(2, classes, *size, generator=generator), 3, 1, 1) * 4
    return (field + noise).double(), field.argmax(1)


def weights(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], float]:
    """Skeleton; distances over the largest radius; radii over it, on the skeleton; the largest radius."""
    line = skeletonize(mask)
    distances = distance_transform_edt(mask) if mask.any() else np.zeros(mask.shape)
    largest = max([1.0, *(distances[place] for place in zip(*line.nonzero(), strict=True))])
    normalised = np.minimum(distances, largest) / largest
    return line, normalised, normalised * line, largest


def skeleton_weight(radius: float, largest: float, weighting: str) -> float:
    """The authors' weight of a pixel of a skeleton; ``radius`` is over ``largest``, which is in pixels."""
    return 1 / radius if weighting == "inverse" else (largest - radius * largest + 1) / largest


def reference(logits: Tensor, target: Tensor, smooth: float = 1.0, weighting: str = "inverse") -> Tensor:
    """The authors' sums, with weights Q on skeletons, as loops over pixels."""
    top, bottom = [torch.zeros((), dtype=torch.float64)] * 2, [torch.zeros((), dtype=torch.float64)] * 2
    probabilities = logits.softmax(1)
    for image in range(len(target)):
        for c in range(1, logits.shape[1]):
            label = (target[image] == c).numpy()
            p = probabilities[image, c] * (target[image] != 255)
            line_l, inside_l, radius_l, largest_l = weights(label)
            line_p, inside_p, radius_p, largest_p = weights(p.detach().numpy() > 0.5)
            for place in zip(*line_p.nonzero(), strict=True):
                q_skeleton = p[place] * skeleton_weight(radius_p[place], largest_p, weighting)
                top[0] = top[0] + q_skeleton * inside_l[place]
                other = radius_l[place] if radius_l[place] != 0 else radius_p[place] * p[place]
                bottom[0] = bottom[0] + q_skeleton * other
            for place in zip(*line_l.nonzero(), strict=True):
                q_skeleton = skeleton_weight(radius_l[place], largest_l, weighting)
                top[1] = top[1] + q_skeleton * inside_p[place] * p[place]
                other = radius_p[place] * p[place] if radius_p[place] != 0 else radius_l[place]
                bottom[1] = bottom[1] + q_skeleton * other
    precision, sensitivity = ((a + smooth) / (b + smooth) for a, b in zip(top, bottom, strict=True))
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("weighting", ["inverse", "linear"])
def test_value_and_gradient_are_those_of_the_formula(classes: int, seed: int, weighting: str) -> None:
    logits, target = case(seed, classes)
    if seed == 2:
        target[0, 8:14, 5:20] = 255
    values, grads = [], []
    for loss in (term(weighting=weighting), partial(reference, weighting=weighting)):
        x = logits.clone().requires_grad_()
        value = loss(x, target)
        value.backward()
        assert x.grad is not None and x.grad.any()
        values.append(value.item())
        grads.append(x.grad)
    assert values[0] == pytest.approx(values[1], abs=1e-6) and values[0] > 0.02
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-9)


def test_agreeing_masks_have_zero_loss_at_any_confidence() -> None:
    _, target = case(1)
    margin = torch.rand(2, 1, 30, 34, generator=torch.Generator().manual_seed(0)) + 0.1
    margin = (margin * (2 * target[:, None] - 1)).requires_grad_()
    loss = term()(margin, target)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert margin.grad is not None and margin.grad.abs().max() < 1e-6


def test_distances_and_skeletons() -> None:
    bar = torch.zeros(2, 15, 30, dtype=torch.bool)
    bar[0, 3:12] = True
    distances, line = centrelines(bar)
    assert line[0, 7].sum() > 15 and not line[0, :6].any() and not line[0, 8:].any() and not line[1].any()
    assert distances[0, 7, 15] == 1 and distances[0, 3, 15] == pytest.approx(1 / 5) and not distances[1].any()


def test_weights_of_thin_branches() -> None:
    """A bar with a radius of 5 pixels, and a line beside it with one of 1."""
    mask = torch.zeros(1, 20, 40, dtype=torch.bool)
    mask[0, 3:12] = mask[0, 15] = True
    for weighting, thin in (("inverse", 5.0), ("linear", 1.0)):
        distances, scales = centrelines(mask, weighting)[:, 0]
        assert scales[15, 20] / distances[15, 20] == pytest.approx(thin)
        assert scales[7, 20] / distances[7, 20] == pytest.approx(1 if weighting == "inverse" else 1 / 5)
        assert not scales[8].any()


@pytest.mark.parametrize("seed", range(3))
def test_linear_weights_of_a_perfect_prediction(seed: int) -> None:
    _, target = case(seed, 3)
    logits = 60 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float()
    assert term(weighting="linear")(logits, target).item() == pytest.approx(0, abs=1e-6)


def test_whole_loss_with_the_papers_weights() -> None:
    logits, target = case()
    ce = torch.nn.functional.cross_entropy(logits, target)
    dice = build("dice", absent="count", per_image=True)(logits, target)
    alpha = beta = 1
    expected = ce / 2 + alpha / (2 * (alpha + beta)) * dice + beta / (2 * (alpha + beta)) * term()(logits, target)
    torch.testing.assert_close(CbDiceLoss()(logits, target), expected)


@pytest.mark.slow
def test_gradcheck_and_ignored_pixels() -> None:
    logits, target = case(3, 3, (8, 9))
    target[0, :3] = 255
    assert gradcheck(lambda x: CbDiceLoss()(x, target), logits.requires_grad_())
    term()(logits, target).backward()
    assert logits.grad is not None and logits.grad.any() and not logits.grad[0, :, :3].any()


@given(st.sampled_from([0, 1, 255]), st.sampled_from([-1000.0, -1.0, 0.0, 1.0, 1000.0]))
def test_never_nan_on_empty_full_and_ignored_masks(value: int, margin: float) -> None:
    logits = torch.full((1, 1, 9, 11), margin, requires_grad=True)
    loss = term()(logits, torch.full((1, 9, 11), value))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()
    if value == 255 or (abs(margin) == 1000 and (margin > 0) == bool(value)):
        assert loss.item() == pytest.approx(0, abs=1e-6) and not logits.grad.any()


def test_labels_are_processed_once_per_sample() -> None:
    logits, target = case()
    loss = term()
    first = loss(logits, target)
    assert len(loss.cache.results) == 2
    torch.testing.assert_close(loss(logits.flip(0), target.flip(0)), first)
    assert len(loss.cache.results) == 2
    assert torch.equal(term(cache_mb=0)(logits, target), first)
