"""Calls of ``begin_step``, and gradients of losses that compute on the CPU, in two processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from learning import Run
from tinyrun import several
from toytraining import CONFIG, Interrupted, Toy, ToyExamples, interrupt, toy_loss

from wsss.losses.topological.betti_matching import BettiMatchingLoss
from wsss.train.config import TrainConfig
from wsss.train.loop import TrainingJob, fit
from wsss.train.optim import trunk_and_head


def train(out: Path, calls: list[tuple[int, int]], **keys: Any) -> None:
    torch.manual_seed(0)
    model, config = Toy(), TrainConfig.model_validate(CONFIG)
    examples, loss = ToyExamples(), toy_loss(**keys)
    job = TrainingJob(
        "toy", model, trunk_and_head(model, config.optimiser), examples, loss, begin_step=lambda *at: calls.append(at)
    )
    fit(job, config, Run(out))


def test_begin_step_is_called_before_each_step(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    with pytest.raises(Interrupted):
        train(tmp_path, calls, after=6, stop=interrupt)
    assert calls == [(step, 12) for step in range(6)]
    train(tmp_path, calls)
    assert calls[6:] == [(step, 12) for step in range(4, 12)]  # from the last checkpoint on


@pytest.mark.slow
def test_gradients_of_betti_matching_are_averaged_over_two_processes(tmp_path: Path) -> None:
    program = f"""
from contextlib import suppress
from pathlib import Path
import torch
from wsss.errors import RunFailed
from wsss.losses.topological.betti_matching import BettiMatchingLoss
from wsss.pipeline.processes.ranks import join_ranks
torch.set_num_threads(1)
out = Path({str(tmp_path)!r})
def train(rank):
    from torch.nn.parallel import DistributedDataParallel
    net, images, target = torch.load(out / "case.pt", weights_only=True)
    model = torch.nn.Conv2d(3, 2, 3, padding=1)
    model.load_state_dict(net)
    loss = BettiMatchingLoss(base_weight=0)
    both = DistributedDataParallel(model)
    both.itself = [both]  # a reference cycle, as models may have them
    loss(both(images[rank:rank + 1]), target[rank:rank + 1]).backward()
    torch.save(model.weight.grad, out / f"grad{{rank}}.pt")
    raise RunFailed("the frames of this exception hold the network")
with suppress(RunFailed), join_ranks("cpu") as ranks:
    train(ranks.rank)
threads = []
for task in Path("/proc/self/task").glob("*"):
    with suppress(FileNotFoundError):  # the thread has ended
        threads.append(task.joinpath("comm").read_text())
assert threads
(out / f"threads{{ranks.rank}}").write_text("".join(threads))
"""
    torch.manual_seed(1)
    model = torch.nn.Conv2d(3, 2, 3, padding=1)
    images, target = torch.randn(2, 3, 24, 24), torch.randint(0, 2, (2, 24, 24))
    torch.save((model.state_dict(), images, target), tmp_path / "case.pt")
    (tmp_path / "program.py").write_text(program)
    several(2, "--script", str(tmp_path / "program.py")).check_returncode()
    BettiMatchingLoss(base_weight=0)(model(images), target).backward()
    assert model.weight.grad is not None and model.weight.grad.any()
    for rank in (0, 1):
        gradient = torch.load(tmp_path / f"grad{rank}.pt", weights_only=True)
        torch.testing.assert_close(gradient, model.weight.grad, rtol=1e-4, atol=1e-6)
        # a thread of gloo that outlives its group can abort the process at exit

        assert "gloo" not in (tmp_path / f"threads{rank}").read_text()
