"""How many processor cores this process may use, and with how many processes of its run it shares them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from wsss.errors import InvalidInput


def available_cores() -> int:
    """Return the number of cores that this process may use: fewer than the machine has in a container, say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes_here(total: int, environment: Mapping[str, str] | None = None) -> int:
    """Return how many of the processes that work together run on this machine, as ``torchrun`` or SLURM say.

    Args:
        total: number of them on all machines, taken where nobody says.
        environment: by default ``os.environ``.

    Raises:
        InvalidInput: a variable of the environment is no positive number.
    """
    found = os.environ if environment is None else environment
    for name in ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"):
        value = found.get(name)
        if value and not (value.isascii() and value.isdigit() and int(value)):
            raise InvalidInput(
                f"The environment has {name}={value!r}; expected a positive number.",
                hint=f"Start the processes with torchrun, or unset {name}.",
            )
        if value:
            return int(value)
    return total
