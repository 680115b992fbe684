"""Lightning Fabric for one process, or for several started by ``torchrun`` or SLURM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import ClusterEnvironment, LightningEnvironment

from wsss.train.runtime import torch_device
from wsss.train.training_job import RunContext


class _StartedProcesses(ClusterEnvironment):
    """The processes of a run, which have already been started and joined.

    Fabric's own detection of SLURM refuses ``srun --ntasks N`` without ``--ntasks-per-node``, and starts further
    processes in interactive sessions.

    Args:
        rank, size: index of this process, and number of processes on all machines.
    """

    creates_processes_externally = True

    def __init__(self, rank: int, size: int) -> None:
        self._rank, self._size = rank, size

    @property
    def main_address(self) -> str:
        return os.environ["MASTER_ADDR"]

    @property
    def main_port(self) -> int:
        return int(os.environ["MASTER_PORT"])

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._size

    def set_world_size(self, size: int) -> None:
        """Keep the size: Fabric would set its number of devices times its number of nodes."""

    def global_rank(self) -> int:
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        """Keep the rank."""

    def local_rank(self) -> int:
        """Return the position of this process's device in the list of devices that Fabric gets, a list of one."""
        return 0

    def node_rank(self) -> int:
        return 0


def build_fabric(precision: Any, run: RunContext) -> Fabric:
    """Return Fabric for this process, with DDP if there are several."""
    accelerator = "cpu" if run.device == "cpu" else "cuda"
    if run.ranks.size == 1:
        alone = LightningEnvironment()  # keeps Fabric from joining an interactive SLURM session
        return Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=[alone])
    fabric = Fabric(
        accelerator=accelerator,
        devices=1 if run.device == "cpu" else [torch_device(run.device).index],
        strategy="ddp",
        precision=precision,
        plugins=[_StartedProcesses(run.ranks.rank, run.ranks.size)],
    )
    with _threads_kept():
        fabric.launch()
    return fabric


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Keep Fabric from changing the number of threads, on which results depend and which is already recorded."""
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]  # it is not the user's setting
