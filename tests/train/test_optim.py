from __future__ import annotations

import pytest
import torch
from toytraining import Toy

from wsss.train.config import AdamWConfig, ScheduleConfig, SGDConfig
from wsss.train.optim import Group, build_optimiser, build_schedule, learning_rate_factor, trunk_and_head


def test_poly_decay() -> None:
    factor = learning_rate_factor(ScheduleConfig(power=0.9), 10)
    assert factor(0) == 1
    assert factor(5) == pytest.approx(0.5**0.9)
    assert factor(10) == 0
    assert factor(11) == 0  # the scheduler requests one more step


def test_warm_up_and_constant() -> None:
    factor = learning_rate_factor(ScheduleConfig(name="constant", warmup_steps=4), 100)
    assert [factor(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


@pytest.mark.parametrize(("warmup", "steps"), [(0, 8), (3, 8), (0, 1), (5, 4)])
def test_cosine_decay_is_that_of_torch(warmup: int, steps: int) -> None:
    """Without warm-up the factors are those of torch's scheduler; the warm-up multiplies them."""
    config = SGDConfig(lr=1.0, head_lr_factor=1)
    factor = learning_rate_factor(ScheduleConfig(name="cosine", warmup_steps=warmup), steps)
    optimiser = build_optimiser(config, [Group([torch.nn.Parameter(torch.zeros(1))])])
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    for step in range(steps + 1):
        warm = min(1.0, (step + 1) / (warmup + 1))
        assert factor(step) == pytest.approx(warm * oracle.get_last_lr()[0], abs=1e-12)
        optimiser.step()
        oracle.step()
    assert factor(0) == pytest.approx(1 / (warmup + 1))
    assert factor(steps) == factor(steps + 1) == 0  # torch's rate would rise again


def test_cosine_decay_by_hand() -> None:
    factor = learning_rate_factor(ScheduleConfig(name="cosine", warmup_steps=1), 6)
    assert [factor(step) for step in (0, 1, 2, 3, 4, 6)] == pytest.approx([0.5, 0.5 + 3**0.5 / 4, 0.75, 0.5, 0.25, 0])


def test_learning_rates_of_trunk_and_head() -> None:
    model = Toy()
    model.backbone[0].bias.requires_grad_(False)
    config = AdamWConfig(lr=0.001, head_lr_factor=5)
    optimiser = build_optimiser(config, trunk_and_head(model, config))
    trunk, head = optimiser.param_groups
    assert (trunk["lr"], head["lr"]) == (0.001, 0.005)
    assert len(trunk["params"]) == 3
    assert {id(p) for p in head["params"]} == {id(model.head.weight), id(model.head.bias)}


def test_networks_without_a_backbone_have_one_learning_rate() -> None:
    model, config = torch.nn.Linear(3, 2), SGDConfig(lr=0.1, head_lr_factor=7)
    (group,) = build_optimiser(config, trunk_and_head(model, config)).param_groups
    assert group["lr"] == 0.1 and len(group["params"]) == 2


def test_step_of_sgd_by_hand() -> None:
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    config = SGDConfig(lr=0.1, head_lr_factor=1, weight_decay=0.5, momentum=0.9)
    optimiser = build_optimiser(config, [Group([parameter]), Group([])])
    schedule = build_schedule(ScheduleConfig(power=1.0), optimiser, 2)
    for expected in (2 - 0.1 * (1 + 0.5 * 2), None):
        parameter.grad = torch.tensor([1.0])
        optimiser.step()
        schedule.step()
        if expected is not None:
            assert parameter.item() == pytest.approx(expected)
    velocity = 0.9 * 2 + (1 + 0.5 * 1.8)
    assert parameter.item() == pytest.approx(1.8 - 0.05 * velocity)
