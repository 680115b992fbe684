"""Fabric in a process that SLURM or torchrun started: it takes rank and number of processes from the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist
from learning import Run

from wsss.pipeline.processes.ranks import DistributedRanks
from wsss.train.fabric import build_fabric

SRUN = {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODELIST": "n[1-2]"}


@pytest.fixture
def group() -> Iterator[None]:
    """A process group, as `join_ranks` leaves it; its size does not matter here."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    "variables",
    [
        {**SRUN, "SLURM_JOB_NAME": "wsss", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2", "SLURM_NODEID": "1"},
        {**SRUN, "SLURM_JOB_NAME": "wsss"},  # srun --ntasks 2, without --ntasks-per-node
        {**SRUN, "SLURM_JOB_NAME": "bash"},  # srun in an interactive allocation
        {**SRUN, "SLURM_JOB_NAME": "wsss", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "3"},  # a step on fewer nodes
        {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "x"},
    ],
)
def test_rank_and_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("started another process"))
    fabric = build_fabric("32-true", Run(tmp_path, ranks=DistributedRanks(1, 2)))
    assert (fabric.global_rank, fabric.world_size, fabric.device.type) == (1, 2, "cpu")
