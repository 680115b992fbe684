"""Global settings of the process while a network runs: seeds, determinism, device. All are restored afterwards."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from wsss.errors import InvalidInput

T = TypeVar("T")

deterministic_settings: Any = torch.utils.deterministic


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def deterministic(device: str, seed: int) -> Iterator[None]:
    """Run a block with fixed seeds and deterministic algorithms; what was set before is set again afterwards.

    On a CPU an operation without a deterministic algorithm is an error; on a GPU it is allowed (bilinear upsampling
    and 2-D cross-entropy have none there).
    """
    python, numeric = random.getstate(), np.random.get_state()
    strict, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill, benchmark = deterministic_settings.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    cuda = list(range(torch.cuda.device_count())) if device != "cpu" else []
    if device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS isn't deterministic
    with torch.random.fork_rng(devices=cuda):
        try:
            torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
            deterministic_settings.fill_uninitialized_memory = False  # costs time, changes no result of ours
            torch.backends.cudnn.benchmark = False
            seed_all(seed)
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warn)
            deterministic_settings.fill_uninitialized_memory = fill
            torch.backends.cudnn.benchmark = benchmark
            random.setstate(python)
            np.random.set_state(numeric)


def leader_first(ranks: Any, make: Callable[[], T]) -> T:
    """Return ``make()``, called by the first process before the others: it may fetch what they then find there."""
    if ranks.rank > 0:
        ranks.barrier()
    made = make()
    if ranks.rank == 0:
        ranks.barrier()
    return made


def torch_device(device: str) -> torch.device:
    """Return this process's device: under ``torchrun`` or SLURM each process has a GPU of its own.

    Raises:
        InvalidInput: ``cuda`` without a GPU.
    """
    if device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InvalidInput("No CUDA device is available.", hint="Use --device cpu.")
    local = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")))
    return torch.device("cuda", local % torch.cuda.device_count())
