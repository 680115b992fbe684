"""Region losses against sums over pixels, MONAI and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lossconfigs import built
from torch import Tensor

from wsss.losses import build
from wsss.losses.catalogue import LOSSES


def case(seed: int = 0, classes: int = 3, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 6, generator=generator) * 2
    target = torch.randint(0, classes, (2, 5, 6), generator=generator)
    target[torch.rand(target.shape, generator=generator) < ignored] = 255
    return logits, target


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(0))
    return e / e.sum(0)


def dice_by_hand(
    logits: Tensor, target: Tensor, *, background: bool, skip: bool, per_image: bool, smooth: float
) -> float:
    """Soft Dice pixel by pixel."""
    groups = [[0], [1]] if per_image else [[0, 1]]
    values = []
    for group in groups:
        for c in range(0 if background else 1, logits.shape[1]):
            overlap = probability = present = 0.0
            for b in group:
                p = softmax(logits[b].double().numpy())
                for y, x in np.ndindex(*target.shape[1:]):
                    if target[b, y, x] == 255:
                        continue
                    probability += p[c, y, x]
                    if target[b, y, x] == c:
                        present += 1
                        overlap += p[c, y, x]
            if present or not skip:
                values.append((2 * overlap + smooth) / (probability + present + smooth))
    return 1 - float(np.mean(values))


def test_cross_entropy_by_hand() -> None:
    logits, target = case()
    terms = []
    for b, y, x in np.ndindex(*target.shape):
        if target[b, y, x] != 255:
            terms.append(-np.log(softmax(logits[b, :, y, x].double().numpy())[target[b, y, x]]))
    assert build("ce")(logits, target).item() == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("absent", ["skip", "count"])
@pytest.mark.parametrize("per_image", [True, False])
@given(seed=st.integers(0, 50), classes=st.integers(2, 5), ignored=st.sampled_from([0.0, 0.3, 0.9]))
@settings(max_examples=8)
def test_dice_by_hand(background: bool, absent: str, per_image: bool, seed: int, classes: int, ignored: float) -> None:
    logits, target = case(seed, classes, ignored)
    target[0, 0, 0] = target[1, 0, 0] = 1  # labelled pixels, and a class that counts
    config = {"background": background, "absent": absent, "per_image": per_image, "smooth": 0.1}
    expected = dice_by_hand(
        logits, target, background=background, skip=absent == "skip", per_image=per_image, smooth=0.1
    )
    assert build("dice", **config)(logits, target).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("per_image", [True, False])
def test_dice_against_monai(per_image: bool) -> None:
    losses = pytest.importorskip("monai.losses")
    logits, target = case(ignored=0)
    theirs = losses.DiceLoss(to_onehot_y=True, softmax=True, batch=not per_image)(logits, target[:, None])
    ours = build("dice", absent="count", per_image=per_image)(logits, target)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_hard_dice_is_f1_of_torchmetrics() -> None:
    from torchmetrics.functional.classification import multiclass_f1_score

    generator = torch.Generator().manual_seed(1)
    predicted, target = torch.randint(0, 4, (2, 2, 8, 8), generator=generator)
    target[0, :4] = 255
    logits = 100.0 * torch.nn.functional.one_hot(predicted, 4).movedim(-1, 1).float()
    expected = multiclass_f1_score(predicted, target, num_classes=4, average="macro", ignore_index=255)
    score = 1 - build("dice", smooth=1e-9)(logits, target)
    torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-5)


def test_sum_of_both() -> None:
    logits, target = case()
    ce, dice = build("ce")(logits, target), build("dice")(logits, target)
    torch.testing.assert_close(build("ce_dice")(logits, target), ce + dice)
    weighted = build("ce_dice", ce_weight=0.25, dice_weight=2, dice={"name": "dice", "background": False})
    without_background = build("dice", background=False)(logits, target)
    torch.testing.assert_close(weighted(logits, target), 0.25 * ce + 2 * without_background)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_batches_have_zero_loss(name: str) -> None:
    logits = case()[0].requires_grad_()
    value = build(name)(logits, torch.full((2, 5, 6), 255))
    assert value.item() == 0
    value.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("per_image", [False, True])
def test_ignored_pixels_have_no_gradient(name: str, per_image: bool) -> None:
    logits, target = case()
    target[1] = 255  # a whole image of the batch
    keys = {"per_image": per_image} if name == "dice" else {}
    logits.requires_grad_()
    build(name, **keys)(logits, target).backward()
    assert logits.grad is not None
    ignored = (target == 255)[:, None].expand_as(logits)
    assert not logits.grad[ignored].any()
    assert logits.grad[~ignored].any()


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "topo"])  # its logits are distances
def test_perfect_and_wrong_predictions(name: str) -> None:
    target = torch.tensor([[[0, 1], [2, 255]]])
    right = 50.0 * torch.nn.functional.one_hot(target.clamp(max=2), 3).movedim(-1, 1).float()
    assert build(name)(right, target).item() == pytest.approx(0, abs=1e-4)
    assert build(name)(right.roll(1, 1), target).item() > 0.6


@pytest.mark.parametrize("background", [True, False])
def test_absent_classes(background: bool) -> None:
    logits = torch.zeros(1, 3, 4, 4)
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    skipped = build("dice", background=background)(logits, target).item()
    assert skipped == (pytest.approx(1 - 2 / 4, abs=1e-5) if background else 0)  # p = 1/3 everywhere
    counted = build("dice", background=background, absent="count")(logits, target).item()
    assert counted == pytest.approx((0.5 + 2) / 3 if background else 1, abs=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        {"name": "ce", "label_smoothing": 0.1},
        {"name": "dice"},
        {"name": "dice", "per_image": True},
        {"name": "ce_dice"},
    ],
)
def test_gradients(config: dict[str, object]) -> None:
    logits, target = case()
    assert torch.autograd.gradcheck(lambda x: built(config)(x, target), logits.double().requires_grad_())


@pytest.mark.parametrize("name", ["ce", "dice", "ce_dice"])
def test_one_channel_is_the_foreground(name: str) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 1, 6, 7), torch.randint(0, 2, (2, 6, 7))
    both = torch.cat([torch.zeros_like(logits), logits], 1)
    assert torch.equal(build(name)(logits, target), build(name)(both, target))
    sure = 20 * (2 * target[:, None] - 1).float()
    assert build(name)(sure, target) < 1e-3 < 0.5 < build(name)(-sure, target)
