"""The command that started the processes of this run, for messages that suggest to run it again."""

from __future__ import annotations

import os
from collections.abc import Mapping

from wsss.io.process.cores import local_process_count
from wsss.pipeline.processes.ranks import ranks_in

MODULE = "wsss.cli.main"
"""The ``wsss`` command as a module, for ``torchrun -m`` and ``python -m``."""


def launcher(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the words before the arguments of ``wsss``: the command itself, preceded by the launcher of several.

    Args:
        environment: variables of ``torchrun`` or SLURM (default: ``os.environ``).

    Raises:
        InvalidInput: the environment is incomplete.
    """
    variables = os.environ if environment is None else environment
    ranks = ranks_in(variables)
    if ranks is None:
        return ["wsss"]
    if "RANK" not in variables:
        return ["srun", "--ntasks", str(ranks[1]), "wsss"]
    here = local_process_count(ranks[1], variables)
    nodes = max(1, ranks[1] // here)
    more = ["--nnodes", str(nodes)] if nodes > 1 else []
    return ["torchrun", *more, "--nproc-per-node", str(here), "-m", MODULE]
