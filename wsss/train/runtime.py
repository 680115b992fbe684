"""Process-wide settings for training and inference: seeds, determinism, device."""

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
def deterministic(device: str, seed: int, *, benchmark: bool = False) -> Iterator[None]:
    """Run a block with fixed seeds and deterministic algorithms, and restore all settings afterwards.

    Operations without a deterministic algorithm are an error on a CPU, but allowed on a GPU, where bilinear upsampling
    and 2-D cross-entropy have none.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        seed: seed of all random generators.
        benchmark: whether cuDNN measures which of its deterministic algorithms is fastest; the last digits of results
            then depend on the measurement.
    """
    python, numeric = random.getstate(), np.random.get_state()
    strict, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill, measured = deterministic_settings.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    cuda = list(range(torch.cuda.device_count())) if device != "cpu" else []
    if device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for deterministic cuBLAS
    with torch.random.fork_rng(devices=cuda):
        try:
            torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
            deterministic_settings.fill_uninitialized_memory = False  # slow, and irrelevant to results
            torch.backends.cudnn.benchmark = benchmark
            seed_all(seed)
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warn)
            deterministic_settings.fill_uninitialized_memory = fill
            torch.backends.cudnn.benchmark = measured
            random.setstate(python)
            np.random.set_state(numeric)


def leader_first(ranks: Any, make: Callable[[], T]) -> T:
    """Return ``make()``, called by the first process before the others, so that only one downloads a file."""
    if ranks.rank > 0:
        ranks.barrier()
    result = make()
    if ranks.rank == 0:
        ranks.barrier()
    return result


def torch_device(device: str) -> torch.device:
    """Return the device of this process; under ``torchrun`` or SLURM, each process has its own GPU.

    Raises:
        InvalidInput: no GPU is available.
    """
    if device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InvalidInput("no CUDA device is available", subject="device", found=device, hint="Use --device cpu.")

    local = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")))
    return torch.device("cuda", local % torch.cuda.device_count())
