"""What losses refuse, and the hints; half precision, autocast, and images of a pixel."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lossconfigs import built, every_config, label
from torch import Tensor

from wsss.errors import InvalidInput
from wsss.losses.base import LOSSES, prepared

EVERY = pytest.mark.parametrize("keys", every_config(), ids=label)
NAMES = pytest.mark.parametrize("name", sorted(LOSSES))


def soft(classes: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    return (3 * torch.randn(2, classes, 6, 7, generator=torch.Generator().manual_seed(0))).softmax(1).to(dtype)


@NAMES
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_one_hot_targets_are_refused_with_the_way_to_indices(name: str, dtype: torch.dtype) -> None:
    logits, target = torch.randn(2, 3, 6, 7), torch.randint(0, 3, (2, 6, 7))
    one_hot = F.one_hot(target, 3).movedim(-1, 1).to(dtype)
    with pytest.raises(InvalidInput, match=r"expected class indices \(B, H, W\).*one-hot") as caught:
        built({"name": name})(logits, one_hot)
    hint = re.search(r"target[.\w()]*\.argmax\(1\)", caught.value.hint or "")
    assert hint
    converted = eval(hint[0], {"target": one_hot})
    assert torch.equal(converted, target) and built({"name": name})(logits, converted).isfinite()
    assert "target.float()" in str(caught.value)
    torch.testing.assert_close(built({"name": name})(logits, one_hot.float()), built({"name": name})(logits, target))


@NAMES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize("shape", [(2, 6, 7), (2, 1, 6, 7)])
def test_class_indices_as_floats_are_refused_with_the_way_to_integers(
    name: str, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    target = torch.randint(0, 3, shape)
    target.view(-1)[:5] = 255
    with pytest.raises(InvalidInput, match=r"target\.long\(\)"):
        built({"name": name})(torch.randn(2, 3, 6, 7), target.to(dtype))


@NAMES
def test_ignored_pixels_of_a_float_mask_beside_one_channel_are_not_probabilities(name: str) -> None:
    target = torch.randint(0, 2, (2, 1, 6, 7)).float()
    target[0, 0, 0, 0] = 255
    with pytest.raises(InvalidInput, match=r"(?s)1 of 84 pixels.*for example 255.*target\.long\(\)"):
        built({"name": name})(torch.randn(2, 1, 6, 7), target)
    assert built({"name": name})(torch.randn(2, 1, 6, 7), target.long()).isfinite()


def test_foreground_probabilities_without_a_channel_get_a_hint_of_their_own() -> None:
    with pytest.raises(InvalidInput, match=r"target\.unsqueeze\(1\)"):
        built({"name": "ce"})(torch.randn(2, 1, 6, 7), torch.rand(2, 6, 7))
    assert built({"name": "ce"})(torch.randn(2, 1, 6, 7), torch.rand(2, 1, 6, 7)).isfinite()


@NAMES
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t * 2,
        lambda t: t * 0.9,
        lambda t: t - 0.5,
        lambda t: t.log(),
        lambda t: t.index_fill(3, torch.tensor([2]), float("nan")),
        lambda t: t.index_fill(3, torch.tensor([2]), float("inf")),
        lambda t: t + torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1),
        lambda t: t.index_fill(3, torch.tensor([0, 1]), 0.02),
    ],
    ids=["sum 2", "sum 0.9", "shifted", "logs", "nan", "inf", "negative, sum 1", "nearly ignored"],
)
def test_what_is_no_distribution_is_refused(name: str, change: Any) -> None:
    with pytest.raises(InvalidInput, match=r"hold no class probabilities.*expected values ≥ 0 that sum to 1"):
        built({"name": name})(torch.randn(2, 3, 6, 7), change(soft(3)))


@NAMES
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_foreground_probabilities_lie_in_0_to_1(name: str, value: float) -> None:
    target = torch.rand(2, 1, 6, 7)
    target[1, 0, 2, 2] = value
    with pytest.raises(InvalidInput, match=r"1 of 84 pixels hold no foreground probability"):
        built({"name": name})(torch.randn(2, 1, 6, 7), target)


def test_the_number_of_wrong_pixels_is_exact() -> None:
    target = soft(3)
    target[0, :, 0, :4] = 0
    target[1, 1, 2, 2:5] += 0.1
    with pytest.raises(InvalidInput, match=r"^target: 3 of 84 pixels hold no class probabilities"):
        prepared(torch.randn(2, 3, 6, 7), target)


@EVERY
def test_rounded_distributions_are_accepted_and_cost_what_they_do(keys: dict[str, Any]) -> None:
    loss = built(keys)
    for dtype, classes in itertools.product((torch.float16, torch.bfloat16, torch.float32, torch.float64), (2, 21)):
        logits, target = torch.randn(2, classes, 6, 7), soft(classes, dtype)
        target[0, :, :2] = 0
        value = loss(logits, target)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, loss(logits, target.float()), rtol=1e-6, atol=1e-6)


def test_half_precision_targets_do_not_overflow() -> None:
    """300² pixels of one class are more than float16 counts."""
    logits = torch.zeros(1, 2, 300, 300)
    target = torch.zeros(1, 2, 300, 300, dtype=torch.float16)
    target[:, 1] = 1
    for name in ("dice", "ce", "ce_dice"):
        expected = built({"name": name})(logits, target.float())
        assert built({"name": name})(logits.half(), target).item() == pytest.approx(expected.item(), rel=1e-6)


@EVERY
def test_half_precision_logits_cost_what_the_same_numbers_cost_in_float32(keys: dict[str, Any]) -> None:
    loss, generator = built(keys), torch.Generator().manual_seed(1)
    target = torch.randint(0, 2, (2, 12, 12), generator=generator)
    target[0, :4] = 255
    for dtype, size in itertools.product((torch.float16, torch.bfloat16), (1.0, 1e-4, 3e4)):
        logits = (size * torch.randn(2, 2, 12, 12, generator=generator)).clamp(-6e4, 6e4).to(dtype)
        values, gradients = [], []
        for given in (logits.clone().requires_grad_(), logits.float().requires_grad_()):
            value = loss(given, target)
            value.backward()
            assert given.grad is not None
            values.append(value)
            gradients.append(given.grad)
        assert torch.equal(*values) and values[0].dtype == torch.float32 and values[0].isfinite(), (dtype, size)
        assert torch.equal(gradients[0], gradients[1].to(dtype)), (dtype, size)


@EVERY
def test_autocast_changes_nothing(keys: dict[str, Any]) -> None:
    logits, target = torch.randn(2, 2, 12, 12), torch.randint(0, 2, (2, 12, 12))
    plain = built(keys)(logits, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(built(keys)(logits, target), plain)


SHAPES = [(0, 2, 8, 8), (1, 2, 0, 0), (2, 3, 0, 4), (1, 2, 1, 1), (1, 1, 1, 1), (1, 2, 1, 9), (1, 3, 9, 1)]


@EVERY
def test_images_of_a_line_a_pixel_or_none(keys: dict[str, Any]) -> None:
    loss = built(keys)
    for shape, value in itertools.product(SHAPES, (0, 1, 255)):
        logits = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        result = loss(logits, torch.full((shape[0], *shape[2:]), value))
        result.backward()
        assert result.isfinite() and logits.grad is not None and logits.grad.isfinite().all(), (shape, value)
        if value == 255 or 0 in shape:
            assert result.item() == 0 and not logits.grad.any(), (shape, value)


@NAMES
def test_logits_are_floats_with_a_channel(name: str) -> None:
    target = torch.zeros(2, 6, 7, dtype=torch.long)
    with pytest.raises(InvalidInput, match=r"logits: floats are needed, found torch\.int64"):
        built({"name": name})(torch.zeros(2, 2, 6, 7, dtype=torch.long), target)
    with pytest.raises(InvalidInput, match=r"logits: \(B, C, H, W\) is needed, found \(2, 0, 6, 7\)"):
        built({"name": name})(torch.zeros(2, 0, 6, 7), target)
