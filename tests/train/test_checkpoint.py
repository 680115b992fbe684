"""Checkpoints that are damaged or belong to another run are discarded."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from flipping import flip
from learning import Run
from toytraining import CONFIG, Toy, interrupted, same, train

from wsss.errors import RunFailed
from wsss.io.files.sealed import write_sealed_zip
from wsss.pipeline.processes.ranks import SingleRank
from wsss.train.checkpoint import Progress, TrainingState, load_checkpoint, save_checkpoint
from wsss.train.config import TrainConfig
from wsss.train.optim import build_optimiser, build_schedule, trunk_and_head


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """Weights and history of an uninterrupted run."""
    return train(tmp_path_factory.mktemp("uninterrupted"))


def rewrite(path: Path, **changes: Any) -> None:
    """Change a checkpoint and give it a valid checksum."""
    torch.save(torch.load(path, weights_only=True) | changes, path)
    content = path.read_bytes()
    with path.open("wb") as file:
        write_sealed_zip(file, memoryview(content))


@pytest.mark.slow
def test_flipped_bits(tmp_path: Path, uninterrupted: Any) -> None:
    weights, history = uninterrupted
    path = interrupted(tmp_path)
    content = path.read_bytes()
    for seed in range(20):
        path.write_bytes(content)
        flip(path, random.Random(seed).randrange(8 * len(content)))
        run = Run(tmp_path)
        resumed, second = train(tmp_path, run=run)
        assert any("checkpoint discarded (it is damaged" in line for line in run.lines)
        assert run.progress.bars == [("toy", 12, 0)]
        assert same(resumed, weights) and second == history


@pytest.mark.parametrize("damage", ["truncate", "empty", "garbage", "other network"])
def test_unreadable_checkpoints(tmp_path: Path, uninterrupted: Any, damage: str) -> None:
    weights, history = uninterrupted
    path = interrupted(tmp_path)
    content = path.read_bytes()
    if damage == "other network":
        state = torch.load(path, weights_only=True)["model"]
        rewrite(path, model=state | {"head.weight": torch.zeros(5, 4)})
    else:
        path.write_bytes({"truncate": content[:-200], "empty": b"", "garbage": b"x" * 999}[damage])
    run = Run(tmp_path)
    resumed, second = train(tmp_path, run=run)
    assert any("checkpoint discarded" in line for line in run.lines)
    assert not any("weights_only" in line for line in run.lines), "torch recommends an unsafe setting"
    assert same(resumed, weights) and second == history


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ranks": 2}, "ranks: expected 1, got 2"),
        ({"effective_batch": 8}, "effective_batch: expected 2, got 8"),
        ({"identity": "0" * 64}, "seed, config, dataset or input"),
        ({"format": 2}, "version"),
        ({"step": "7"}, "step and threads"),
        ({"history": [{"loss": None}]}, "history"),
        ({"schedule": []}, "schedule"),
        ({"optimiser": {"state": {9**9: {}}, "param_groups": [{"params": [0, 1]}]}}, "optimiser"),
    ],
)
def test_checkpoints_of_other_runs(tmp_path: Path, uninterrupted: Any, changes: dict[str, Any], reason: str) -> None:
    rewrite(interrupted(tmp_path), **changes)
    run = Run(tmp_path)
    resumed, _ = train(tmp_path, run=run)
    assert any("checkpoint discarded" in line and reason in line for line in run.lines)
    assert same(resumed, uninterrupted[0])


def test_steps_in_float16_after_steps_without_it(tmp_path: Path) -> None:
    """A checkpoint without the state of a gradient scaler, as from a CPU, is resumed with a new one."""
    path = interrupted(tmp_path)
    model, config = Toy(), TrainConfig.model_validate(CONFIG)
    optimiser = build_optimiser(config.optimiser, trunk_and_head(model, config.optimiser))
    scaler, lines = torch.amp.GradScaler("cpu", init_scale=64.0), list[str]()
    schedule = build_schedule(config.schedule, optimiser, 12)
    state = TrainingState(model, optimiser, schedule, scaler, ranks=1, effective_batch=2, identity="training")
    assert load_checkpoint(path, state, lines.append).step == 6 and lines == []
    assert same(model.state_dict(), torch.load(path, weights_only=True)["model"])
    scaler.scale(torch.ones(1, requires_grad=True).sum()).backward()
    scaled = scaler.state_dict()
    save_checkpoint(path, state, Progress(6))
    scaler.load_state_dict({**scaled, "scale": 2.0})
    load_checkpoint(path, state, lines.append)
    assert scaler.state_dict() == scaled


@pytest.mark.parametrize("requested", ["bf16-mixed", "16-mixed"])
def test_the_loop_uses_the_precision_of_the_device(tmp_path: Path, uninterrupted: Any, requested: str) -> None:
    weights, history = uninterrupted
    found = train(tmp_path, run=Run(tmp_path, precision="32-true"), precision=requested)
    assert same(found[0], weights) and found[1] == history


def test_another_number_of_threads_is_reported(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    threads = torch.get_num_threads()
    rewrite(path, threads=threads + 1)
    run = Run(tmp_path)
    train(tmp_path, run=run)
    assert any(f"was {threads + 1} and is now {threads}" in line for line in run.lines)
    assert run.progress.bars == [("toy", 12, 6)]


@pytest.mark.parametrize("average", [None, {"head.weight": torch.zeros(2, 4)}, [], {}])
def test_checkpoints_without_the_average(tmp_path: Path, average: Any) -> None:
    weights, history = train(tmp_path / "uninterrupted", average_decay=0.8)
    path = interrupted(tmp_path / "resumed", average_decay=0.8)
    rewrite(path, average=average)
    run = Run(tmp_path / "resumed")
    resumed, second = train(tmp_path / "resumed", run=run, average_decay=0.8)
    assert any("checkpoint discarded" in line for line in run.lines)
    assert same(resumed, weights) and second == history


def test_checkpoints_have_an_average_only_if_there_is_one(tmp_path: Path) -> None:
    state = torch.load(interrupted(tmp_path), weights_only=True)
    assert "average" not in state
    average = torch.load(interrupted(tmp_path / "averaged", average_decay=0.8), weights_only=True)["average"]
    assert average.keys() == state["model"].keys()
    assert not same(average, state["model"])


class SecondRank:
    """The second of two processes; the first one has restored another step."""

    rank = 1
    size = 1
    barrier = SingleRank.barrier

    def from_first(self, make: Any) -> int:
        return int(make()) + 2


def test_processes_that_read_different_checkpoints(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    with pytest.raises(RunFailed) as error:
        train(tmp_path, run=Run(tmp_path, ranks=SecondRank()))
    assert error.value.subject == str(path)
    assert "step 6" in error.value.problem and "step 8" in error.value.problem
