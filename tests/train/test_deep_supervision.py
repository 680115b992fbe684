"""The weighted sum of the losses of several outputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from wsss.errors import InvalidInput
from wsss.losses.base import build_loss
from wsss.losses.config import ClDiceConfig, CrossEntropyDiceConfig
from wsss.losses.term import LossWithTerm
from wsss.train.config import DeepSupervisionConfig
from wsss.train.tasks.deep_supervision import deep_loss, output_weights
from wsss.train.tasks.segmentation import mask_loss

TARGET = torch.randint(0, 2, (2, 16, 16), generator=torch.Generator().manual_seed(0))


def outputs(count: int = 3) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 2, 16, 16, requires_grad=True) for _ in range(count)]


def test_weights_are_halved_from_level_to_level_and_sum_to_one() -> None:
    assert output_weights(DeepSupervisionConfig(), 3) == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    assert output_weights(DeepSupervisionConfig(), 1) == (1.0,)
    config = DeepSupervisionConfig(weights=(1.0, 0.25))
    assert output_weights(config, 2) == (1.0, 0.25)
    with pytest.raises(InvalidInput) as error:
        output_weights(config, 3)
    assert (error.value.subject, error.value.found) == ("deep_supervision.weights", 2)


@pytest.mark.parametrize("config", [CrossEntropyDiceConfig(), ClDiceConfig()], ids=repr)
def test_the_weighted_sum(config: Any) -> None:
    loss, several = build_loss(config), outputs()
    expected = sum(w * loss(o, TARGET) for w, o in zip((4 / 7, 2 / 7, 1 / 7), several, strict=True))
    torch.testing.assert_close(deep_loss(loss, several, TARGET, DeepSupervisionConfig()), expected)
    only = DeepSupervisionConfig(weights=(2.0, 0.0, 0.0))
    value = deep_loss(loss, several, TARGET, only)
    torch.testing.assert_close(value, 2 * loss(several[0], TARGET))
    value.backward()
    assert all(output.grad is not None and not output.grad.any() for output in several[1:])


def test_term_on_the_finest_output_only() -> None:
    loss, several = build_loss(ClDiceConfig()), outputs(2)
    assert isinstance(loss, LossWithTerm)
    value = deep_loss(loss, several, TARGET, DeepSupervisionConfig(weights=(0.75, 0.25), term="finest"))
    expected = 0.75 * loss(several[0], TARGET) + 0.25 * loss.config.base_weight * loss.base(several[1], TARGET)
    torch.testing.assert_close(value, expected)
    assert loss.active


class Constant(torch.nn.Module):
    """A network with constant outputs."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, images: torch.Tensor) -> Any:
        return self.outputs


def test_mask_loss_of_one_or_several_outputs() -> None:
    several, loss = outputs(2), build_loss(CrossEntropyDiceConfig())
    batch = (torch.zeros(2, 3, 16, 16), TARGET)
    config = DeepSupervisionConfig()
    torch.testing.assert_close(mask_loss(loss, config)(Constant(several[0]), batch), loss(several[0], TARGET))
    expected = deep_loss(loss, several, TARGET, config)
    torch.testing.assert_close(mask_loss(loss, config)(Constant(several), batch), expected)


def test_losses_without_soft_targets_get_the_most_probable_class() -> None:
    from wsss.losses.base import Loss

    class Hard(Loss):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            assert target.shape == (2, 16, 16) and target.dtype == torch.int64
            return (logits.argmax(1) != target).float().mean()

    soft = torch.nn.functional.one_hot(TARGET, 2).movedim(-1, 1).float()
    (logits,) = outputs(1)
    value = mask_loss(Hard(), DeepSupervisionConfig())(Constant(logits), (torch.zeros(2, 3, 16, 16), soft))

    assert float(value) == float(Hard()(logits, TARGET))
