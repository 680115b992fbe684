"""The ``wsss`` command on the pipeline ``tiny.yaml``, in one process or in several ranks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import warm
from killing import is_bookkeeping, snapshot

TINY = Path(__file__).parent / "tiny.yaml"
SEVERAL = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def command(run_dir: Path, *more: str) -> list[str]:
    """Return the arguments to run the pipeline in a folder."""
    return ["run", str(TINY), "--run-dir", str(run_dir), "--workers", "1", *more]


def environment(**more: str | None) -> dict[str, str]:
    """Return this environment, updated by ``more`` (``None`` removes a variable), with one thread per process."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return {name: value for name, value in variables.items() if value is not None}


def wsss(*arguments: str, timeout: float = 300, **more: str | None) -> subprocess.CompletedProcess[str]:
    """Run ``wsss ARGUMENTS`` in a preloaded process; for ``more`` see `environment`."""
    return subprocess.run(
        [*warm.command(), *arguments], capture_output=True, text=True, timeout=timeout, env=environment(**more)
    )


def several(
    count: int, *arguments: str, timeout: float = 300, cwd: Path | None = None, srun: bool = False, **more: str | None
) -> subprocess.CompletedProcess[str]:
    """Run ``wsss ARGUMENTS`` (or ``--script FILE …``) in several preloaded ranks; for the other options see `ranks`.

    Returns:
        The first failed process, or else that of rank 0.
    """
    processes = [
        subprocess.Popen(
            [*warm.command(), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
            cwd=cwd,
        )
        for variables in ranks(count, srun=srun, **more)
    ]
    ended = []
    for process in processes:
        output, messages = process.communicate(timeout=timeout)
        ended.append(subprocess.CompletedProcess(arguments, process.returncode, output, messages))
    return next((one for one in ended if one.returncode), ended[0])


def ranks(count: int, *, srun: bool = False, **more: str | None) -> list[dict[str, str]]:
    """Return the environments of the ranks, or of a single process; for ``more`` see `environment`.

    Args:
        count: number of ranks.
        srun: variables of SLURM (``srun --ntasks COUNT`` in an interactive allocation), not of ``torchrun``.
    """
    if count == 1:
        return [environment(**more)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    more |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    if srun:
        step = {"SLURM_NTASKS": str(count), "SLURM_JOB_NAME": "bash", "SLURM_NODEID": "0", "SLURM_JOB_ID": "7"}
        step |= {"SLURM_STEP_TASKS_PER_NODE": str(count), "SLURM_NODELIST": "localhost"}
        return [environment(**step, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), **more) for rank in range(count)]
    shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    return [environment(**shared, RANK=str(rank), LOCAL_RANK=str(rank), **more) for rank in range(count)]


def statuses(run_dir: Path, *more: str) -> dict[str, str]:
    """Run the pipeline and return stage → status."""
    return statuses_in(wsss(*command(run_dir, "--json", *more)))


def statuses_in(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return stage → status of a successful run with ``--json``."""
    assert done.returncode == 0, done.stderr
    return {stage["id"]: stage["status"] for stage in json.loads(done.stdout)["stages"]}


def results(run_dir: Path) -> Mapping[str, bytes]:
    """Return the reproducible files of a run: without the report, which shows timings, and hash caches."""
    return snapshot(
        run_dir, ignore=lambda name: is_bookkeeping(name) or name.startswith("data/content") or name.endswith(".html")
    )
