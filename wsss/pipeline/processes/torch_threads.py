"""How many threads torch computes with: as many as the user asks for, or the cores shared among the processes."""

from __future__ import annotations

import os

from wsss.io.process.cores import available_cores

ASKED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def threads_are_asked_for() -> bool:
    """Tell whether the user chose the number of threads; ``torchrun`` sets one thread where nobody did."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get(ASKED[0]) == "1":
        return False
    return any(os.environ.get(name) for name in ASKED)


def share_cores(processes: int) -> None:
    """Divide the cores among processes of this machine that compute at the same time, unless threads are asked for.

    Args:
        processes: number of processes that work together on this machine.
    """
    import torch

    if not threads_are_asked_for():
        torch.set_num_threads(min(torch.get_num_threads(), max(1, available_cores() // processes)))
