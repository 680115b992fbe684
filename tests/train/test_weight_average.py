"""The moving average of the weights, compared with a loop over the weights of all steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from learning import Run
from torch import Tensor, nn
from toytraining import CONFIG, Toy, ToyExamples, same, toy_loss, train

from wsss.train.config import TrainConfig
from wsss.train.loop import TrainingJob, fit
from wsss.train.optim import trunk_and_head
from wsss.train.weight_average import WeightAverage

STEPS = 12


def recording_loss(states: list[dict[str, Tensor]]) -> Callable[[nn.Module, Any], Tensor]:
    """Return the loss of the toy network that appends the weights before each step to a list."""
    loss = toy_loss()

    def recording(model: nn.Module, batch: Any) -> Tensor:
        states.append({name: value.double() for name, value in model.state_dict().items()})
        return loss(model, batch)

    return recording


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """The initial weights, and those after each step, of a training run without an average."""
    found: list[dict[str, Tensor]] = []
    last, _ = train(tmp_path_factory.mktemp("plain"), loss=recording_loss(found))
    assert len(found) == STEPS
    return [*found, {name: value.double() for name, value in last.items()}]


@pytest.mark.parametrize("decay", [0.2, 0.7, 0.9999])
def test_the_average_of_a_training_run(tmp_path: Path, states: list[dict[str, Tensor]], decay: float) -> None:
    recorded: list[dict[str, Tensor]] = []
    averaged, _ = train(tmp_path, loss=recording_loss(recorded), average_decay=decay)
    assert all(same(with_it, without) for with_it, without in zip(recorded, states, strict=False))
    for name, value in averaged.items():
        expected = states[0][name]
        for step, state in enumerate(states[1:], 1):
            kept = min(decay, 1 - 1 / (step + 1))
            expected = kept * expected + (1 - kept) * state[name]
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
        else:
            assert value == STEPS  # BatchNorm's number of batches
        if decay == 0.9999 and value.is_floating_point():  # a short run: the mean of all
            mean = torch.stack([state[name] for state in states]).mean(0)
            torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-6)
    assert not torch.equal(averaged["backbone.1.running_mean"].double(), states[-1]["backbone.1.running_mean"])


def test_validation_and_pictures_use_the_average(tmp_path: Path) -> None:
    def fitted(out: Path, *, shown: bool) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        torch.manual_seed(11)
        model, config, seen = Toy(), TrainConfig.model_validate(CONFIG), list[dict[str, Tensor]]()

        def look() -> dict[str, Any]:
            seen.append({name: value.clone() for name, value in model.state_dict().items()})
            return {}

        groups = trunk_and_head(model, config.optimiser)
        called: dict[str, Any] = {"validate": look, "pictures": look} if shown else {}
        fit(TrainingJob("toy", model, groups, ToyExamples(), toy_loss(), average_decay=0.8, **called), config, Run(out))
        return model.state_dict(), seen

    average, seen = fitted(tmp_path / "shown", shown=True)
    assert len(seen) == 6
    assert same(seen[0], seen[1]) and not same(seen[0], seen[2])
    assert same(seen[4], average) and same(seen[5], average)
    assert same(fitted(tmp_path / "not", shown=False)[0], average)  # training goes on with its own weights


def test_frozen_and_equal_weights_stay_exact() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    average = WeightAverage(model, 0.3)
    for step in range(1, 30):
        average.update(step)
    assert same(average.state_dict(), before)


def test_the_weights_return_after_the_block() -> None:
    model = nn.Linear(3, 2)
    average = WeightAverage(model, 0.5)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    nn.init.normal_(model.weight)
    own = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(KeyError), average.applied():
        assert same(model.state_dict(), first)
        raise KeyError
    assert same(model.state_dict(), own)
    average.apply()
    assert same(model.state_dict(), first)
