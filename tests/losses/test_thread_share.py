"""Threads of losses by default: all cores of one process, a share of them in each process of a distributed run."""

from __future__ import annotations

import pytest
import torch

from wsss.losses import build
from wsss.losses.topological import thread_share
from wsss.topology import threads as pool


@pytest.mark.parametrize(
    ("cores", "local", "setting", "expected"),
    [(8, 2, None, 4), (8, 3, None, 2), (2, 4, None, 1), (8, 2, 6, 6), (8, 2, 1, 1)],
)
def test_processes_of_a_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, local: int, setting: int | None, expected: int
) -> None:
    monkeypatch.setattr(thread_share, "available_cores", lambda: cores)
    assert thread_share.thread_count(setting) == setting  # not distributed
    monkeypatch.setattr(thread_share.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(thread_share.dist, "get_world_size", lambda: 2 * local)  # on two machines
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local))
    assert thread_share.thread_count(setting) == expected


@pytest.mark.parametrize("name", ["betti_matching", "topoloss", "topo", "warping"])
def test_losses_start_no_more_threads_than_their_share(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    started: list[int] = []
    start = pool._pool.start
    monkeypatch.setattr(pool._pool, "start", lambda work, count: started.append(count + 1) or start(work, count))
    monkeypatch.setattr(thread_share, "available_cores", lambda: 6)
    monkeypatch.setattr(thread_share.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(thread_share.dist, "get_world_size", lambda: 2)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 2, (5, 32, 32), generator=generator)
    build(name)(torch.randn(5, 2, 32, 32, generator=generator), target)
    assert started and set(started) == {3}
