from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from flipping import flip
from learning import Run
from toytraining import Interrupted, train

from wsss.errors import RunFailed
from wsss.pipeline.processes.ranks import SingleRank


def interrupt() -> None:
    raise Interrupted


def interrupted(out: Path) -> Path:
    """Train to the seventh step of twelve; the checkpoint is that of the sixth."""
    with pytest.raises(Interrupted):
        train(out, after=7, stop=interrupt)
    return out / "checkpoint.pt"


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def rewritten(path: Path, **changes: Any) -> None:
    """Write a checkpoint again, whole, with another content."""
    from wsss.io.files.sealed import write_sealed_zip

    state = torch.load(path, weights_only=True) | changes
    torch.save(state, path)
    content = path.read_bytes()
    with path.open("wb") as file:
        write_sealed_zip(file, memoryview(content))


def test_flipped_bits_lead_to_a_new_start_and_the_same_weights(tmp_path: Path) -> None:
    weights, history = train(tmp_path / "whole")
    path = interrupted(tmp_path / "cut")
    whole = path.read_bytes()
    for seed in range(20):
        path.write_bytes(whole)
        flip(path, random.Random(seed).randrange(8 * len(whole)))
        run = Run(tmp_path / "cut")
        resumed, second = train(tmp_path / "cut", run=run)
        assert any("can't be used (it is damaged" in line and "starts again" in line for line in run.lines)
        assert run.progress.bars == [("toy", 12, 0)]
        assert same(resumed, weights) and second == history


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ranks": 2}, "expected the number of processes 1 and the effective batch 2, got 2 and 2"),
        ({"effective_batch": 8}, "effective batch 2, got 1 and 8"),
        ({"identity": "0" * 64}, "it belongs to another training"),
        ({"format": 2}, "not a checkpoint of this version"),
        ({"step": "7"}, "step and threads: expected whole numbers"),
        ({"history": [{"loss": None}]}, "history: expected rows of numbers"),
        ({"schedule": []}, "schedule: a mapping"),
        ({"optimiser": {"state": {9**9: {}}, "param_groups": [{"params": [0, 1]}]}}, "can't be used"),
    ],
)
def test_a_checkpoint_of_other_processes_is_not_resumed(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    weights, _ = train(tmp_path / "whole")
    path = interrupted(tmp_path / "cut")
    rewritten(path, **changes)
    run = Run(tmp_path / "cut")
    resumed, _ = train(tmp_path / "cut", run=run)
    assert any(reason in line for line in run.lines)
    assert same(resumed, weights)


def test_another_number_of_threads_is_announced(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    threads = torch.get_num_threads()
    rewritten(path, threads=threads + 1)
    run = Run(tmp_path)
    train(tmp_path, run=run)
    assert any(f"was {threads + 1} so far and is {threads} now" in line for line in run.lines)
    assert run.progress.bars == [("toy", 12, 6)]


@dataclass
class Second:
    """The second of two processes, to which the first has sent another step."""

    rank: int = 1
    size: int = 1
    sent: list[Any] = field(default_factory=list)
    barrier = SingleRank.barrier

    def from_first(self, make: Any) -> int:
        return int(make()) + 2


def test_processes_that_read_different_checkpoints_do_not_train(tmp_path: Path) -> None:
    interrupted(tmp_path)
    with pytest.raises(RunFailed, match="would resume after step 6, the first one after step 8"):
        train(tmp_path, run=Run(tmp_path, ranks=Second()))
