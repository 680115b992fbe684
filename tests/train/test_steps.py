"""Training with a number of steps instead of epochs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from learning import Run
from toytraining import CONFIG, ToyExamples, check_resumed, train

from wsss.errors import InvalidInput
from wsss.train.config import SGDConfig, TrainConfig
from wsss.train.optim import Group, build_optimiser
from wsss.train.sample_order import Plan
from wsss.validation import validate

STEPS: dict[str, Any] = {"epochs": None, "steps": 10}


@pytest.mark.parametrize(
    ("value", "subject", "named"),
    [
        ({"epochs": 3, "steps": 10}, "segment", "epochs or steps"),
        ({"epochs": None}, "segment", "epochs or steps"),
        ({"steps": 0}, "segment.steps", ""),
    ],
)
def test_exactly_one_of_epochs_and_steps_is_set(value: dict[str, Any], subject: str, named: str) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(TrainConfig, value, where="segment")
    assert error.value.subject == subject and named in error.value.problem


def test_steps_replace_the_default_epochs() -> None:
    assert (TrainConfig().epochs, TrainConfig().steps) == (5, None)
    config = validate(TrainConfig, {"steps": 10}, where="")
    assert (config.epochs, config.steps) == (None, 10)
    assert validate(TrainConfig, {"epochs": 7, "steps": None}, where="").epochs == 7


def test_batches_in_steps_equal_those_in_epochs() -> None:
    by_epochs = Plan(7, 2, 1, 3, seed=5)
    by_steps = Plan(7, 2, 1, None, seed=5, total=10)
    assert by_steps.steps == 10
    assert list(by_steps.batches()) == list(by_epochs.batches())[:10]
    for start in range(11):
        assert list(by_steps.batches(start)) == list(by_epochs.batches())[start:10]


def test_the_history_has_twenty_rows_or_one_per_step(tmp_path: Path) -> None:
    _, history = train(tmp_path / "short", **STEPS)
    assert [row["step"] for row in history] == list(range(1, 11))
    assert history[-1]["lr"] == 0
    _, history = train(tmp_path / "long", **(STEPS | {"steps": 43}))
    assert [row["step"] for row in history] == [*range(3, 43, 3), 43]
    with (tmp_path / "long/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [row["step"] / 4 for row in history]
    assert [float(row["train_loss"]) for row in rows] == [row["train_loss"] for row in history]


def test_a_row_contains_the_mean_of_its_own_steps(tmp_path: Path) -> None:
    values = iter(range(1, 100))

    def loss(model: torch.nn.Module, batch: Any) -> torch.Tensor:
        return 0 * model(batch[0]).sum() + next(values)

    _, history = train(tmp_path, loss=loss, **(STEPS | {"steps": 43}))
    assert history[0]["train_loss"] == 2 and history[-2]["train_loss"] == 41 and history[-1]["train_loss"] == 43


@pytest.mark.parametrize("accumulate", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_resumed_run_is_bit_identical(tmp_path: Path, accumulate: int) -> None:
    keys = STEPS | {"accumulate": accumulate, "steps": 43, "optimiser": {"name": "sgd", "lr": 0.1, "nesterov": True}}
    history = check_resumed(tmp_path, (4, 20, 40), **keys)
    examples = ToyExamples()
    assert train(tmp_path / "resumed40", examples=examples, **keys)[1] == history
    assert not examples.seen


def test_progress_and_messages_count_steps(tmp_path: Path) -> None:
    run = Run(tmp_path)
    train(tmp_path, run=run, **STEPS)
    assert run.progress.bars == [("toy", 10, 0)] and run.progress.advanced == 10
    assert run.lines[-1].startswith("toy: step 10/10: train_loss ")


def test_progress_and_messages_count_epochs(tmp_path: Path) -> None:
    run = Run(tmp_path)
    _, history = train(tmp_path, run=run)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(type(row["epoch"]) is int for row in history)
    assert run.lines[-1].startswith(f"toy: epoch 3/{CONFIG['epochs']}: ")


def test_nesterov_momentum() -> None:
    parameter = torch.nn.Parameter(torch.ones(1))
    plain = build_optimiser(SGDConfig(momentum=0.9), [Group([parameter])])
    nesterov = build_optimiser(SGDConfig(momentum=0.9, nesterov=True), [Group([parameter])])
    assert not plain.defaults["nesterov"] and nesterov.defaults["nesterov"]
    with pytest.raises(InvalidInput) as error:
        validate(SGDConfig, {"momentum": 0, "nesterov": True}, where="")
    assert error.value.problem.startswith("momentum: ") and "nesterov" in error.value.problem
