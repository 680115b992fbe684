"""Number of processor cores that this process may use, and of local processes that share them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from wsss.errors import InvalidInput
from wsss.io.process.cgroups import CGROUPS, PROC, cgroup_folders, lines_of


def bound_cores() -> int:
    """Return the number of cores that this process is bound to (``taskset``, SLURM, cpusets); by default all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_cores() -> int:
    """Return the number of cores that this process may use: those of `bound_cores`, at most its `cpu_quota`."""
    quota = cpu_quota()
    return bound_cores() if quota is None else min(bound_cores(), max(1, math.ceil(quota)))


@cache
def cpu_quota(proc: Path = PROC, cgroups: Path = CGROUPS) -> float | None:
    """Return the CPU quota of this process's cgroup in cores (CPU time per elapsed time); ``None`` without a limit.

    It is read once per process. ``docker run --cpus 2`` and Kubernetes set it. The process can still run on all cores,
    but one worker per core would share the time of two cores, and each needs memory of its own.

    Args:
        proc: mount point of procfs.
        cgroups: mount point of the cgroup file system.
    """
    quotas = []
    for folder, version in cgroup_folders("cpu", proc, cgroups):
        if version == 2:  # "200000 100000", or "max 100000" without a limit
            words = " ".join(lines_of(folder / "cpu.max")).split()
        else:
            words = [*lines_of(folder / "cpu.cfs_quota_us"), *lines_of(folder / "cpu.cfs_period_us")]
        if len(words) == 2 and all(word.isascii() and word.isdigit() and int(word) for word in words):
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def worker_count(workers: int | None, ranks: int = 1) -> int:
    """Return the number of processes of ``workers``: one per core for ``None``, 1 (this process) for 0.

    Args:
        ranks: number of processes of a distributed run, each of which starts its own; see `core_share`.

    Raises:
        InvalidInput: not an integer of at least 0.
    """
    if workers is None:
        return available_cores() if ranks == 1 else core_share(ranks)
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 0:
        raise InvalidInput(subject="workers", found=workers, allowed="an integer of at least 0, or none (one per core)")
    return max(1, workers)


def core_share(
    ranks: int, environment: Mapping[str, str] | None = None, *, cores: int | None = None, quota: bool = True
) -> int:
    """Return the number of cores for each process of a distributed run, at least 1.

    It is that of ``srun --cpus-per-task``, which usually binds each task to cores of its own; otherwise the processes
    of a machine divide its cores.

    Args:
        ranks: number of processes on all machines.
        environment: by default ``os.environ``.
        cores: number of cores that this process may use; by default `available_cores`.
        quota: whether the default respects the CPU quota; if not, it is `bound_cores`.

    Raises:
        InvalidInput: see `local_process_count`.
    """
    variables = os.environ if environment is None else environment
    if cores is None:
        cores = available_cores() if quota else bound_cores()
    of_task = variables.get("SLURM_CPUS_PER_TASK", "")
    if "LOCAL_WORLD_SIZE" not in variables and of_task.isascii() and of_task.isdigit() and int(of_task):
        return max(1, min(cores, int(of_task)))
    return max(1, cores // local_process_count(ranks, variables))


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
    return _slurm_tasks_here(variables) or total


def processes_here(ranks: int) -> int:
    """Return the number of processes of a run on this machine, which share its memory; 1 for a single process.

    Args:
        ranks: number of processes on all machines.

    Raises:
        InvalidInput: see `local_process_count`.
    """
    return 1 if ranks == 1 else local_process_count(ranks)


def _slurm_tasks_here(variables: Mapping[str, str]) -> int | None:
    """Return the number of tasks of a SLURM step on this machine; ``None`` if its variables do not state it.

    They list the machines of the step: ``2(x3),1`` means two tasks on each of three machines, and one on the fourth.
    """
    listed, node = variables.get("SLURM_STEP_TASKS_PER_NODE", ""), variables.get("SLURM_NODEID", "")
    tasks: list[int] = []
    for part in listed.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part, re.ASCII)
        if match is None:
            return None
        tasks += [int(match[1])] * int(match[2] or 1)
    return tasks[int(node)] if node.isascii() and node.isdigit() and int(node) < len(tasks) else None
