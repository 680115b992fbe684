"""Class indices that no loss can take are refused by all of them, and 255 instead of a class is announced."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from wsss.errors import InvalidInput
from wsss.losses.base import LOSSES, Loss, build_loss
from wsss.losses.config import LossConfig
from wsss.losses.targets import OnlyBackground, check_indices

OUT_OF_RANGE = (3, 7, 254, 256, -1, -100, 1000)


def build(name: str) -> Loss:
    return build_loss(TypeAdapter(LossConfig).validate_python({"name": name}))


def target_with(value: int) -> torch.Tensor:
    target = torch.zeros(2, 16, 16, dtype=torch.int64)
    target[:, 4:9, 4:9], target[1, 12:, :4], target[0, 0, 5] = 1, 255, value
    return target


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("value", OUT_OF_RANGE)
def test_every_loss_refuses_them_by_name(name: str, value: int) -> None:
    with pytest.raises(InvalidInput) as found:
        build(name)(torch.zeros(2, 3, 16, 16, requires_grad=True), target_with(value))
    words = f"found value {value}, with 3 classes; expected 0 to 2, or 255 for pixels to ignore"
    assert words in found.value.message
    assert ("torch's ignore index" in str(found.value.hint)) == (value == -100)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_takes_all_classes_and_255(name: str) -> None:
    for dtype in (torch.int64, torch.uint8, torch.int32):
        target = target_with(2).to(dtype)
        assert torch.isfinite(build(name)(torch.zeros(2, 3, 16, 16), target))


def test_logits_of_one_channel_have_two_classes() -> None:
    with pytest.raises(InvalidInput, match="found value 2, with 2 classes; expected 0 to 1"):
        build("dice")(torch.zeros(2, 1, 16, 16), target_with(2))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_masks_of_0_and_255_are_announced(name: str) -> None:
    target = torch.zeros(1, 16, 16, dtype=torch.int64)
    target[:, 4:9] = 255
    with pytest.warns(OnlyBackground, match="all labelled pixels are background"):
        build(name)(torch.zeros(1, 2, 16, 16), target)


@pytest.mark.parametrize("values", [(0, 0), (255, 255), (0, 1), (1, 255)])
def test_other_targets_are_not(values: tuple[int, int]) -> None:
    target = torch.tensor(values).view(1, 1, 2).repeat(1, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_indices(target, 2)


def test_the_same_target_is_looked_at_again_once_it_has_changed() -> None:
    target = target_with(1)
    check_indices(target, 3)
    target[0, 0, 0] = 9
    with pytest.raises(InvalidInput, match="found value 9"):
        check_indices(target, 3)
    target[0, 0, 0] = 2
    check_indices(target, 3)
    with pytest.raises(InvalidInput, match="found value 2, with 2 classes"):
        check_indices(target, 2)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("value", [77, -3])
def test_changes_that_torch_does_not_notice_are_seen(name: str, value: int) -> None:
    """Memory shared with NumPy, and ``.data``, change without a new version of the tensor."""
    array = target_with(1).numpy().copy()
    shared, own, logits = torch.from_numpy(array), target_with(1), torch.zeros(2, 3, 16, 16, requires_grad=True)
    loss = build(name)
    for target in (shared, own):
        assert torch.isfinite(loss(logits, target))
    array[0, 0, 0] = own.data[0, 0, 0] = value
    for target in (shared, own):
        with pytest.raises(InvalidInput, match=f"found value {value}"):
            loss(logits, target)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_target_is_looked_at_once_in_a_call(name: str) -> None:
    """A loss and its base loss get the same one; reading it costs as much as a simple loss does."""
    target = torch.zeros(1, 16, 16, dtype=torch.int64)
    target[:, 4:9] = 255
    loss = build(name)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loss(torch.zeros(1, 2, 16, 16), target)
        assert sum(issubclass(one.category, OnlyBackground) for one in caught) == 1


def test_targets_made_in_inference_mode_are_checked_too() -> None:
    with torch.inference_mode():
        target = target_with(1)
        for _ in range(2):
            assert torch.isfinite(build("cldice")(torch.zeros(2, 3, 16, 16), target))
        target[0, 0, 0] = 9
        with pytest.raises(InvalidInput, match="found value 9"):
            build("cldice")(torch.zeros(2, 3, 16, 16), target)


@given(st.lists(st.integers(-300, 600), min_size=1, max_size=30), st.integers(1, 255))
def test_exactly_the_values_out_of_range_are_refused(values: list[int], classes: int) -> None:
    wrong = sorted({value for value in values if value != 255 and not 0 <= value < classes})
    target = torch.tensor(values).view(1, 1, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnlyBackground)
        if not wrong:
            check_indices(target, classes)
            return
        with pytest.raises(InvalidInput) as found:
            check_indices(target, classes)
    assert all(str(value) in found.value.message for value in wrong[:10])
