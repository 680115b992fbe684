"""Losses that are fetched after several steps, as on a GPU, change neither results nor what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toytraining import interrupted, same, train

from wsss.errors import RunFailed
from wsss.train import loop
from wsss.train.step_losses import GPU_STEPS, StepLosses, steps_between_fetches


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fetch losses every fifth step; return the numbers of losses fetched."""
    counts: list[int] = []

    class Counted(StepLosses):
        def fetch(self) -> list[Any]:
            fetched = super().fetch()
            counts.append(len(fetched))
            return fetched

    monkeypatch.setattr(loop, "steps_between_fetches", lambda device: 5)
    monkeypatch.setattr(loop, "StepLosses", Counted)
    return counts


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """Return all scalars of TensorBoard's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    names = sorted(events.Tags()["scalars"])
    return [(name, event.step, event.value) for name in names for event in events.Scalars(name)]


def test_a_cpu_fetches_every_loss() -> None:
    assert (steps_between_fetches("cpu"), steps_between_fetches("cuda")) == (1, GPU_STEPS)


def test_results_do_not_depend_on_when_losses_are_fetched(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    weights, history = train(tmp_path / "every", checkpoint_steps=None)
    counts = request.getfixturevalue("seldom")
    other_weights, other_history = train(tmp_path / "seldom", checkpoint_steps=None)
    assert same(weights, other_weights) and history == other_history
    assert (tmp_path / "every/history.csv").read_bytes() == (tmp_path / "seldom/history.csv").read_bytes()
    assert scalars(tmp_path / "every/tensorboard") == scalars(tmp_path / "seldom/tensorboard")
    assert counts == [4, 1, 3, 2, 2]  # rows end at steps 4, 8 and 12


@pytest.mark.parametrize("keys", [{}, {"checkpoint_steps": None, "checkpoint_every": 0.0}])
def test_a_resumed_run_is_bit_identical(tmp_path: Path, seldom: list[int], keys: dict[str, Any]) -> None:
    weights, history = train(tmp_path / "uninterrupted", **keys)
    for after in (2, 6, 7, 12):
        resumed = tmp_path / f"resumed{after}"
        interrupted(resumed, after=after, **keys)
        resumed_weights, resumed_history = train(resumed, **keys)
        assert same(weights, resumed_weights) and resumed_history == history


@pytest.mark.parametrize("checkpoints", [{"checkpoint_steps": None}, {"checkpoint_every": 0.0, "checkpoint_steps": 3}])
def test_a_state_after_a_nan_is_neither_saved_nor_validated(
    tmp_path: Path, seldom: list[int], checkpoints: dict[str, Any]
) -> None:
    calls = 0

    def loss(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return model(batch[0]).sum() * (float("nan") if calls == 6 else 1.0)

    with pytest.raises(RunFailed) as error:
        train(tmp_path, loss=loss, **checkpoints)
    assert "step 6 of 12 (epoch 2)" in error.value.problem
    assert calls == (8 if checkpoints["checkpoint_steps"] is None else 6)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == (4 if checkpoints["checkpoint_steps"] is None else 5)
    assert all(value.isfinite().all() for value in saved["model"].values())
    assert len(saved["history"]) == 1
