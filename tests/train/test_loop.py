from __future__ import annotations

import csv
import errno
import io
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import Run
from tinyrun import several, wsss
from torch import Tensor, nn
from toytraining import EvenToy, Interrupted, Toy, ToyExamples, check_resumed, interrupt, interrupted, same, train

from wsss.errors import RunFailed

SUPPORT = Path(__file__).parents[1] / "support"


SETTINGS: list[dict[str, Any]] = [
    {},
    {"optimiser": {"name": "sgd", "lr": 0.1}, "schedule": {"warmup_steps": 3}, "clip_norm": 0.1},
    {"accumulate": 2, "checkpoint_steps": 1},
    {"precision": "bf16-mixed"},
    {"average_decay": 0.8, "schedule": {"name": "cosine", "warmup_steps": 2}},
]


@pytest.mark.parametrize("keys", [SETTINGS[0], *(pytest.param(keys, marks=pytest.mark.slow) for keys in SETTINGS[1:])])
def test_a_resumed_run_is_bit_identical(tmp_path: Path, keys: dict[str, Any]) -> None:
    check_resumed(tmp_path, (1, 2, 4, 5, 8, 12), **keys)


def test_resuming_several_times_and_restarting_a_finished_run(tmp_path: Path) -> None:
    weights, history = train(tmp_path / "uninterrupted")
    for after in (3, 3, 3):  # counted from each start, at checkpoints after 0, 2 and 4 steps
        interrupted(tmp_path / "resumed", after=after)
    examples = ToyExamples()
    assert same(train(tmp_path / "resumed", examples=examples)[0], weights)
    assert 0 < len(examples.seen) < 3 * 8
    unused = ToyExamples()
    finished, finished_history = train(tmp_path / "resumed", examples=unused)
    assert same(finished, weights)
    assert finished_history == history
    assert not unused.seen


@pytest.mark.slow
@pytest.mark.parametrize("average", [(), ("--average", "0.8")])
def test_killed_process(tmp_path: Path, average: tuple[str, ...]) -> None:
    def program(out: Path, *kill_at: str) -> int:
        return wsss("--script", str(SUPPORT / "toytraining.py"), str(out), *kill_at, *average).returncode

    assert program(tmp_path / "killed", "7") == -signal.SIGKILL
    assert (tmp_path / "killed/checkpoint.pt").is_file()
    assert program(tmp_path / "killed") == 0
    assert program(tmp_path / "uninterrupted") == 0
    for name in ("weights.safetensors", "history.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "uninterrupted" / name).read_bytes()


def test_history_has_a_row_per_epoch(tmp_path: Path) -> None:
    _, history = train(tmp_path)
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["step"] for row in rows] == ["4", "8", "12"]
    assert [float(row["train_loss"]) for row in rows] == [row["train_loss"] for row in history]
    assert rows[0].keys() == {"epoch", "step", "lr", "train_loss", "val"}
    assert history[-1]["lr"] == 0  # end of the poly schedule


def test_results_depend_on_the_seed_but_not_on_workers(tmp_path: Path) -> None:
    weights, _ = train(tmp_path / "a", epochs=1)
    with_workers, _ = train(tmp_path / "b", run=Run(tmp_path / "b", workers=4), epochs=1)
    assert same(weights, with_workers)
    other, _ = train(tmp_path / "c", run=Run(tmp_path / "c", seed=1), epochs=1)
    assert not same(weights, other)


def test_global_state_is_restored(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1)
    np.random.seed(2)
    strict, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.manual_seed(3)
    with torch.random.fork_rng(devices=[]), pytest.raises(Interrupted):  # `train` seeds the toy network
        train(tmp_path, after=2, stop=interrupt)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected
    assert torch.are_deterministic_algorithms_enabled() == strict
    assert torch.get_num_threads() == threads


def test_accumulated_steps_are_steps_of_a_larger_batch(tmp_path: Path) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Conv2d(3, 2, 6)

        def forward(self, images: Tensor) -> Tensor:
            return self.backbone(images.float() / 255).flatten(1)

    def weights(out: Path, **keys: Any) -> Tensor:
        from wsss.train.config import TrainConfig
        from wsss.train.loop import TrainingJob, fit
        from wsss.train.optim import Group

        torch.manual_seed(0)
        model = Plain()

        def loss(network: nn.Module, batch: Any) -> Tensor:
            return nn.functional.binary_cross_entropy_with_logits(network(batch[0]), batch[1])

        config = TrainConfig.model_validate({"epochs": 2, "optimiser": {"name": "sgd"}, **keys})
        fit(TrainingJob("plain", model, [Group(list(model.parameters()))], ToyExamples(8), loss), config, Run(out))
        return model.backbone.weight.detach()

    accumulated = weights(tmp_path / "a", batch_size=2, accumulate=2)
    single = weights(tmp_path / "b", batch_size=4)
    torch.testing.assert_close(accumulated, single, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_diverged_training(tmp_path: Path, value: float) -> None:
    calls = 0

    def loss(model: nn.Module, batch: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return model(batch[0]).sum() * (value if calls == 6 else 1.0)

    with pytest.raises(RunFailed) as error:
        train(tmp_path, loss=loss)
    assert error.value.subject == "toy" and "step 6 of 12 (epoch 2)" in error.value.problem
    assert "optimiser.lr (now 0.0001)" in str(error.value.hint)


def test_checkpoint_by_time(tmp_path: Path) -> None:
    path = interrupted(tmp_path, after=4, checkpoint_every=0.0, checkpoint_steps=None)
    assert torch.load(path, weights_only=True)["step"] == 3


def test_full_disk_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the operating system is reported; torch's own writer hides it."""

    class FullDisk(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 200:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data) or 0

    open_file = Path.open

    def open_full(path: Path, mode: str = "r", *args: Any, **keys: Any) -> Any:
        return FullDisk(path, mode) if path.name.endswith("checkpoint.pt") else open_file(path, mode, *args, **keys)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(RunFailed, match=r"(?i)no space left on device"):
        train(tmp_path)
    assert not list(tmp_path.glob("*checkpoint*"))


@pytest.mark.parametrize(
    ("keys", "steps", "done", "position"),
    [({}, 12, 4, "step 4/12, epoch 1/3"), ({"epochs": None, "steps": 9}, 9, 5, "step 5/9")],
)
def test_progress_of_a_resumed_run(tmp_path: Path, keys: dict[str, Any], steps: int, done: int, position: str) -> None:
    first, second = Run(tmp_path), Run(tmp_path)
    interrupted(tmp_path, run=first, after=6, **keys)
    assert (first.progress.bars, first.progress.advanced) == ([("toy", steps, 0)], 5)
    assert not any("resumed" in line for line in first.lines)
    train(tmp_path, run=second, **keys)
    assert (second.progress.bars, second.progress.advanced) == ([("toy", steps, done)], steps - done)
    assert [line for line in second.lines if "resumed" in line] == [f"{tmp_path.name}: resumed at {position}"]


def test_a_single_image_fills_the_batch(tmp_path: Path) -> None:
    examples = ToyExamples(1)
    _, history = train(tmp_path, examples=examples)
    assert history[-1]["step"] == 3
    assert len({seed for _, seed in examples.seen}) == 6


def test_tensorboard_has_each_step_once_after_a_resume(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    interrupted(tmp_path, after=6)
    # TensorBoard reads event files in the order of their names: seconds, host, process, and a counter per process, in
    # which 10 precedes 9. A resume is another process, later.
    time.sleep(1 - time.time() % 1)
    train(tmp_path)

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/step")] == list(range(1, 13))
    assert [event.step for event in events.Scalars("epoch/train_loss")] == [4, 8, 12]


@pytest.mark.slow
@pytest.mark.parametrize("decay", [None, 0.8])
def test_two_processes_train_one_network(tmp_path: Path, decay: float | None) -> None:
    program = f"""
import sys
sys.path[:0] = [{str(SUPPORT)!r}]
from pathlib import Path
import torch
from learning import Run
from toytraining import EvenToy, Toy, train
from wsss.pipeline.processes.ranks import join_ranks
torch.set_num_threads(1)
with join_ranks("cpu") as ranks:
    for network in (Toy, EvenToy):
        out = Path({str(tmp_path)!r}) / network.__name__
        out.mkdir(exist_ok=True)
        run = Run(out, ranks=ranks)
        weights, history = train(out, run=run, batch_size=1, network=network, average_decay={decay})
        weights = {{name: t for name, t in weights.items() if "running" not in name}}
        torch.save(weights, out / f"weights{{ranks.rank}}.pt")
        assert len(history) == 3
"""
    (tmp_path / "program.py").write_text(program)
    several(2, "--script", str(tmp_path / "program.py")).check_returncode()
    differences = {}
    for network in (Toy, EvenToy):
        out = tmp_path / network.__name__
        first, second = (torch.load(out / f"weights{rank}.pt", weights_only=True) for rank in (0, 1))
        assert same(first, second)
        assert (out / "history.csv").read_text().count("\n") == 4
        # the same images in each step
        alone, history = train(tmp_path / f"alone{network.__name__}", network=network, average_decay=decay)
        differences[network] = max(float((alone[name] - first[name]).abs().max()) for name in first)
        losses = [float(row["train_loss"]) for row in csv.DictReader((out / "history.csv").open())]
        if network is EvenToy:
            assert losses == pytest.approx([row["train_loss"] for row in history], abs=1e-6)
    assert differences[EvenToy] <= 1e-5
    assert differences[Toy] > 1e-3  # BatchNorm and Dropout: as documented in docs/cluster.md
