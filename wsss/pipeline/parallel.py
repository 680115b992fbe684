"""How a stage's work is divided, for its record: processes, threads, images per training step."""

from __future__ import annotations

import os
import sys
from typing import Any


def parallelism(config: Any, *, ranks: int, workers: int) -> dict[str, int | None]:
    """Return what ``stage.json`` says of it: ``ranks``, ``workers``, ``threads`` and ``effective_batch_size``.

    Args:
        config: of the stage.
        ranks: number of processes that work together (``torchrun``, SLURM).
        workers: number of worker processes of each.
    """
    return {
        "ranks": ranks,
        "workers": workers,
        "threads": threads(),
        "effective_batch_size": effective_batch_size(config, ranks),
    }


def threads() -> int:
    """Return the number of threads that one operation may use in this process: torch's, or what it would take."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def effective_batch_size(config: Any, ranks: int) -> int | None:
    """Return the number of images per optimiser step of all processes, ``None`` for a stage that does not train.

    It is the batch of a process times its forward passes per step (``accumulate``) times the number of processes.
    """
    batch_size, accumulate = getattr(config, "batch_size", None), getattr(config, "accumulate", None)
    return None if batch_size is None or accumulate is None else int(batch_size) * int(accumulate) * ranks
