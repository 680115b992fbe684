"""Torch's number of threads: as set by the user; by default the cores are divided among the processes."""

from __future__ import annotations

import os

from wsss.io.process.cores import core_share

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def user_sets_threads() -> bool:
    """Return whether the user set the number of threads; ``torchrun`` sets it to 1 by default, which does not count."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get(VARIABLES[0]) == "1":
        return False
    return any(os.environ.get(name) for name in VARIABLES)


def share_cores(ranks: int) -> None:
    """Divide the cores among the processes of this machine, unless the user sets the number of threads.

    Args:
        ranks: number of processes of the run, on all machines.
    """
    import torch

    if not user_sets_threads():
        # Weights depend on the number of threads, and would change with a quota of CPU time.
        torch.set_num_threads(min(torch.get_num_threads(), core_share(ranks, quota=False)))
