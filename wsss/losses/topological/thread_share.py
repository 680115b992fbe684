"""Number of threads of the losses that are computed outside torch."""

from __future__ import annotations

import torch.distributed as dist

from wsss.io.process.cores import available_cores, core_share


def thread_count(threads: int | None) -> int | None:
    """Return the number of threads of one process.

    Args:
        threads: the setting of a loss. ``None`` is one per available core; in a distributed run, the cores are divided
            among the processes of this machine.
    """
    if threads is not None or not (dist.is_available() and dist.is_initialized()):
        return threads
    return core_share(dist.get_world_size(), cores=available_cores())
