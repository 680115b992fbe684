"""The command that started the processes of this run, for messages that suggest running it again."""

from __future__ import annotations

import os
from collections.abc import Mapping

from wsss.io.process.cores import local_process_count
from wsss.pipeline.processes.ranks import ranks_in

MODULE = "wsss.cli.main"
"""The ``wsss`` command as a module, for ``torchrun -m`` and ``python -m``."""


def launcher(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the command up to the arguments of ``wsss``, including the launcher of a multi-process run.

    Args:
        environment: variables of ``torchrun`` or SLURM (default: ``os.environ``).

    Raises:
        InvalidInput: a variable is missing from the environment.
    """
    variables = os.environ if environment is None else environment
    ranks = ranks_in(variables)
    if ranks is None:
        return ["wsss"]
    if "RANK" not in variables:
        return ["srun", "--ntasks", str(ranks[1]), "wsss"]
    per_node = local_process_count(ranks[1], variables)
    nodes = max(1, ranks[1] // per_node)
    nodes_option = ["--nnodes", str(nodes)] if nodes > 1 else []
    return ["torchrun", *nodes_option, "--nproc-per-node", str(per_node), "-m", MODULE]
