"""Validation of predictions and targets; half precision, autocast, and tiny images."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from lossconfigs import built, every_config, label
from torch import Tensor

from wsss.errors import InvalidInput
from wsss.losses import build
from wsss.losses.base import is_soft, prepared
from wsss.losses.catalogue import LOSSES
from wsss.losses.targets import OnlyBackground, check_indices, checked_once, has_ignored

EVERY = pytest.mark.parametrize("keys", every_config(), ids=label)
NAMES = pytest.mark.parametrize("name", sorted(LOSSES))


def soft(classes: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    return (3 * torch.randn(2, classes, 6, 7, generator=torch.Generator().manual_seed(0))).softmax(1).to(dtype)


def refusal(logits: Tensor, target: Tensor) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        prepared(logits, target)
    return error.value


@NAMES
def test_every_loss_validates_its_input(name: str) -> None:
    """The rules themselves are tested on `prepared`, which all losses call."""
    for logits, target in (
        (torch.randn(2, 6, 7), torch.zeros(2, 6, 7, dtype=torch.long)),
        (torch.randn(2, 3, 6, 7), torch.zeros(2, 3, 6, 7, dtype=torch.long)),
        (torch.randn(2, 3, 6, 7), torch.full((2, 6, 7), 7)),
        (torch.randn(2, 3, 6, 7), 2 * soft()),
    ):
        with pytest.raises(InvalidInput) as error:
            build(name)(logits, target)
        assert error.value.subject in ("logits", "target")


@pytest.mark.parametrize(
    "logits",
    [torch.randn(2, 16, 16), torch.randn(2, 0, 16, 16), torch.zeros(2, 2, 16, 16, dtype=torch.long)],
    ids=["no batch", "no channel", "integers"],
)
def test_invalid_logits(logits: Tensor) -> None:
    assert refusal(logits, torch.zeros(2, 16, 16, dtype=torch.long)).subject == "logits"


@pytest.mark.parametrize(
    "target",
    [
        torch.zeros(1, 16, 16, dtype=torch.long),
        torch.zeros(3, 16, 16, dtype=torch.long),
        torch.zeros(2, 16, 15, dtype=torch.long),
        torch.zeros(16, 16, dtype=torch.long),
        torch.zeros(2, 4, 16, 16, dtype=torch.long),
        torch.zeros(2, 16, 16),
        torch.zeros(2, 1, 16, 16),
        torch.zeros(2, 3, 16, 16),
        torch.zeros(2, 2, 16, 16, dtype=torch.long),
    ],
    ids=lambda target: f"{tuple(target.shape)} {target.dtype}",
)
def test_targets_of_another_shape_or_type(target: Tensor) -> None:
    error = refusal(torch.randn(2, 2, 16, 16), target)
    assert error.subject == "target" and str(tuple(target.shape)) in str(error.found) and error.hint


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_the_hint_for_one_hot_targets_works(dtype: torch.dtype) -> None:
    logits, target = torch.randn(2, 3, 6, 7), torch.randint(0, 3, (2, 6, 7))
    one_hot = F.one_hot(target, 3).movedim(-1, 1).to(dtype)
    conversion = re.search(r"target[.\w()]*\.argmax\(1\)", refusal(logits, one_hot).hint or "")
    assert conversion and torch.equal(eval(conversion[0], {"target": one_hot}), target)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize("shape", [(2, 6, 7), (2, 1, 6, 7)])
def test_the_hint_for_class_indices_as_floats(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    target = torch.randint(0, 3, shape)
    target.view(-1)[:5] = 255
    assert "target.long()" in str(refusal(torch.randn(2, 3, 6, 7), target.to(dtype)).hint)


def test_the_hint_for_foreground_probabilities_without_a_channel() -> None:
    error = refusal(torch.randn(2, 1, 6, 7), torch.rand(2, 6, 7))
    assert "target.unsqueeze(1)" in str(error.hint)
    assert "(2, 1, 6, 7)" in error.problem and "(B, 1, H, W)" in str(error.allowed)
    assert build("ce")(torch.randn(2, 1, 6, 7), torch.rand(2, 1, 6, 7)).isfinite()


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
def test_invalid_distributions(change: Callable[[Tensor], Tensor]) -> None:
    assert "sum to 1" in str(refusal(torch.randn(2, 3, 6, 7), change(soft(3))).allowed)


@pytest.mark.parametrize("value", [-0.1, 1.1, 255.0, float("nan"), float("inf")])
def test_foreground_probabilities_out_of_range(value: float) -> None:
    target = torch.rand(2, 1, 6, 7)
    target[1, 0, 2, 2] = value
    error = refusal(torch.randn(2, 1, 6, 7), target)
    assert error.problem.startswith("1 of 84 pixels") and error.found == pytest.approx(value, nan_ok=True)


def test_the_number_of_invalid_pixels_is_exact() -> None:
    target = soft(3)
    target[0, :, 0, :4] = 0
    target[1, 1, 2, 2:5] += 0.1
    assert refusal(torch.randn(2, 3, 6, 7), target).problem.startswith("3 of 84 pixels")


def test_integer_volumes_are_no_probabilities() -> None:
    assert is_soft(soft()) and not is_soft(torch.zeros(2, 3, 6, 7, dtype=torch.long))


def target_with(value: int) -> Tensor:
    target = torch.zeros(2, 16, 16, dtype=torch.int64)
    target[:, 4:9, 4:9], target[1, 12:, :4], target[0, 0, 5] = 1, 255, value
    return target


@pytest.mark.parametrize("value", [3, 7, 254, 256, -1, -100, 1000])
def test_class_indices_out_of_range(value: int) -> None:
    error = refusal(torch.zeros(2, 3, 16, 16), target_with(value))
    assert error.subject == "target" and error.found == [value]
    assert ("torch's ignore index" in str(error.hint)) == (value == -100)
    assert refusal(torch.zeros(2, 1, 16, 16), target_with(2)).found == [2], "one channel stands for two classes"


@given(st.lists(st.integers(-300, 600), min_size=1, max_size=30), st.integers(1, 255))
def test_exactly_the_values_out_of_range_are_refused(values: list[int], classes: int) -> None:
    wrong = sorted({value for value in values if value != 255 and not 0 <= value < classes})
    target = torch.tensor(values).view(1, 1, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnlyBackground)
        if not wrong:
            check_indices(target, classes)
            return
        with pytest.raises(InvalidInput) as error:
            check_indices(target, classes)
    assert error.value.found == wrong


@NAMES
def test_valid_class_indices_of_every_type(name: str) -> None:
    for dtype in (torch.int64, torch.uint8, torch.int32):
        assert torch.isfinite(build(name)(torch.zeros(2, 3, 16, 16), target_with(2).to(dtype)))


@NAMES
def test_a_warning_for_masks_of_0_and_255_once_per_call(name: str) -> None:
    target = torch.zeros(1, 16, 16, dtype=torch.int64)
    target[:, 4:9] = 255
    loss = build(name)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loss(torch.zeros(1, 2, 16, 16), target)
        (warning,) = [one for one in caught if issubclass(one.category, OnlyBackground)]
        assert warning.filename == __file__


@pytest.mark.parametrize(
    ("values", "ignored"), [([0, 1, 1], False), ([0, 255, 1], True), ([255, 255], True), ([], False)]
)
def test_search_for_ignored_pixels(values: list[int], ignored: bool) -> None:
    target = torch.tensor(values, dtype=torch.int64).view(1, 1, -1)
    assert check_indices(target, 2) == has_ignored(target) == ignored
    with checked_once():
        for _ in range(2):
            assert check_indices(target, 2) == has_ignored(target) == ignored
        if values:
            target[..., 0] = 255  # a new version
            assert check_indices(target, 2) and has_ignored(target)


@pytest.mark.parametrize("values", [(0, 0), (255, 255), (0, 1), (1, 255)])
def test_no_warning_for_other_targets(values: tuple[int, int]) -> None:
    target = torch.tensor(values).view(1, 1, 2).repeat(1, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_indices(target, 2)


@NAMES
@pytest.mark.parametrize("value", [77, -3])
def test_changes_without_a_new_version_are_noticed(name: str, value: int) -> None:
    """Memory shared with NumPy and ``.data`` change without a new version of the tensor."""
    array = target_with(1).numpy().copy()
    shared, own, logits = torch.from_numpy(array), target_with(1), torch.zeros(2, 3, 16, 16, requires_grad=True)
    loss = build(name)
    for target in (shared, own):
        assert torch.isfinite(loss(logits, target))
    array[0, 0, 0] = own.data[0, 0, 0] = value
    for target in (shared, own):
        with pytest.raises(InvalidInput) as error:
            loss(logits, target)
        assert error.value.found == [value]


def test_targets_of_inference_mode_are_validated() -> None:
    with torch.inference_mode():
        target = target_with(1)
        for _ in range(2):
            assert torch.isfinite(build("cldice")(torch.zeros(2, 3, 16, 16), target))
        target[0, 0, 0] = 9
        with pytest.raises(InvalidInput):
            build("cldice")(torch.zeros(2, 3, 16, 16), target)


@EVERY
def test_rounded_distributions_are_accepted(keys: dict[str, Any]) -> None:
    loss = built(keys)
    for dtype, classes in itertools.product((torch.float16, torch.bfloat16, torch.float32, torch.float64), (2, 21)):
        logits, target = torch.randn(2, classes, 6, 7), soft(classes, dtype)
        target[0, :, :2] = 0
        value = loss(logits, target)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, loss(logits, target.float()), rtol=1e-6, atol=1e-6)


def test_half_precision_targets_do_not_overflow() -> None:
    """300² pixels of one class exceed the range of float16."""
    logits = torch.zeros(1, 2, 300, 300)
    target = torch.zeros(1, 2, 300, 300, dtype=torch.float16)
    target[:, 1] = 1
    for name in ("dice", "ce", "ce_dice"):
        expected = build(name)(logits, target.float())
        assert build(name)(logits.half(), target).item() == pytest.approx(expected.item(), rel=1e-6)


@EVERY
def test_half_precision_logits_equal_their_float32_values(keys: dict[str, Any]) -> None:
    loss, generator = built(keys), torch.Generator().manual_seed(1)
    target = torch.randint(0, 2, (2, 12, 12), generator=generator)
    target[0, :4] = 255
    for dtype, size in itertools.product((torch.float16, torch.bfloat16), (1.0, 1e-4, 3e4)):
        logits = (size * torch.randn(2, 2, 12, 12, generator=generator)).clamp(-6e4, 6e4).to(dtype)
        values, gradients = [], []
        for leaf in (logits.clone().requires_grad_(), logits.float().requires_grad_()):
            value = loss(leaf, target)
            value.backward()
            assert leaf.grad is not None
            values.append(value)
            gradients.append(leaf.grad)
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
def test_images_of_one_line_one_pixel_or_none(keys: dict[str, Any]) -> None:
    loss = built(keys)
    for shape, value in itertools.product(SHAPES, (0, 1, 255)):
        logits = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        result = loss(logits, torch.full((shape[0], *shape[2:]), value))
        result.backward()
        assert result.isfinite() and logits.grad is not None and logits.grad.isfinite().all(), (shape, value)
        if value == 255 or 0 in shape:
            assert result.item() == 0 and not logits.grad.any(), (shape, value)
