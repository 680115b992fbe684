"""Lightning Fabric for one process, or for several started by ``torchrun`` or SLURM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment

from wsss.io.process.cores import local_process_count
from wsss.train.training_job import RunContext


def build_fabric(precision: Any, run: RunContext) -> Fabric:
    """Return Fabric for this process, with DDP if there are several."""
    accelerator = "cpu" if run.device == "cpu" else "cuda"
    if run.ranks.size == 1:
        alone = LightningEnvironment()  # keeps Fabric from joining an interactive SLURM session
        return Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=[alone])
    here = local_process_count(run.ranks.size)
    fabric = Fabric(
        accelerator=accelerator,
        devices=here,
        num_nodes=max(1, run.ranks.size // here),
        strategy="ddp",
        precision=precision,
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
