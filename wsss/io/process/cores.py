"""Number of processor cores that this process may use, and of local processes that share them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from wsss.errors import InvalidInput


def available_cores() -> int:
    """Return the number of cores that this process may use, which is lower than the machine's in some containers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_process_count(total: int, environment: Mapping[str, str] | None = None) -> int:
    """Return the number of local processes of a distributed run, as set by ``torchrun`` or SLURM.

    Args:
        total: number of processes on all machines; the default.
        environment: by default ``os.environ``.

    Raises:
        InvalidInput: an environment variable is not a positive integer.
    """
    variables = os.environ if environment is None else environment
    for name in ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"):
        value = variables.get(name)
        if value and not (value.isascii() and value.isdigit() and int(value)):
            raise InvalidInput(
                subject=f"environment variable {name}",
                found=value,
                allowed="a positive integer",
                hint=f"Start the processes with torchrun, or unset {name}.",
            )
        if value:
            return int(value)
    return total
