"""The weighted sum over outputs of several levels, for any loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from wsss.errors import InvalidInput
from wsss.losses.base import build_loss
from wsss.losses.config import ClDiceConfig, CrossEntropyDiceConfig
from wsss.losses.term import LossWithTerm
from wsss.train.config import DeepSupervisionConfig
from wsss.train.deep_supervision import deep_loss, output_weights
from wsss.train.segmentation import mask_loss

TARGET = torch.randint(0, 2, (2, 16, 16), generator=torch.Generator().manual_seed(0))


def outputs(count: int = 3) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 2, 16, 16, requires_grad=True) for _ in range(count)]


def test_weights_are_halved_from_level_to_level_and_sum_to_one() -> None:
    assert output_weights(DeepSupervisionConfig(), 3) == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    assert output_weights(DeepSupervisionConfig(), 1) == (1.0,)
    given = DeepSupervisionConfig(weights=(1.0, 0.25))
    assert output_weights(given, 2) == (1.0, 0.25)
    with pytest.raises(InvalidInput, match="2 weights, but the network has 3 outputs"):
        output_weights(given, 3)


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


def test_a_term_on_the_finest_output_alone() -> None:
    loss, several = build_loss(ClDiceConfig()), outputs(2)
    assert isinstance(loss, LossWithTerm)
    got = deep_loss(loss, several, TARGET, DeepSupervisionConfig(weights=(0.75, 0.25), term="finest"))
    expected = 0.75 * loss(several[0], TARGET) + 0.25 * loss.config.base_weight * loss.base(several[1], TARGET)
    torch.testing.assert_close(got, expected)
    assert loss.active


def test_the_loss_of_the_training_loop_takes_one_output_or_several() -> None:
    several, loss = outputs(2), build_loss(CrossEntropyDiceConfig())
    batch = (torch.zeros(2, 3, 16, 16), TARGET)

    class Answer(torch.nn.Module):
        def __init__(self, answer: Any) -> None:
            super().__init__()
            self.answer = answer

        def forward(self, images: torch.Tensor) -> Any:
            return self.answer

    config = DeepSupervisionConfig()
    torch.testing.assert_close(mask_loss(loss, config)(Answer(several[0]), batch), loss(several[0], TARGET))
    expected = deep_loss(loss, several, TARGET, config)
    torch.testing.assert_close(mask_loss(loss, config)(Answer(several), batch), expected)


def test_a_loss_that_knows_no_soft_targets_gets_the_most_probable_class() -> None:
    from wsss.losses.base import Loss

    class Hard(Loss):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            assert target.shape == (2, 16, 16) and target.dtype == torch.int64
            return (logits.argmax(1) != target).float().mean()

    soft = torch.nn.functional.one_hot(TARGET, 2).movedim(-1, 1).float()
    (logits,) = outputs(1)

    class Answer(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return logits

    value = mask_loss(Hard(), DeepSupervisionConfig())(Answer(), (torch.zeros(2, 3, 16, 16), soft))
    assert float(value) == float(Hard()(logits, TARGET))
