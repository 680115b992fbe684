"""How the processes of this run were started, so that a message can name the command that starts them again."""

from __future__ import annotations

import os
from collections.abc import Mapping

from wsss.io.process.cores import processes_here
from wsss.pipeline.processes.ranks import ranks_in

MODULE = "wsss.cli.main"
"""What ``torchrun -m`` and ``python -m`` run: the ``wsss`` command as a module."""


def launcher(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the words that stand before the arguments of ``wsss``: the command itself, or what starts several.

    Args:
        environment: where ``torchrun`` and SLURM say how many processes there are (default: ``os.environ``).

    Raises:
        InvalidInput: the environment is incomplete.
    """
    found = os.environ if environment is None else environment
    ranks = ranks_in(found)
    if ranks is None:
        return ["wsss"]
    if "RANK" not in found:
        return ["srun", "--ntasks", str(ranks[1]), "wsss"]
    here = processes_here(ranks[1], found)
    nodes = max(1, ranks[1] // here)
    more = ["--nnodes", str(nodes)] if nodes > 1 else []
    return ["torchrun", *more, "--nproc-per-node", str(here), "-m", MODULE]
