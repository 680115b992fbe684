"""The processes that work on one run: one, or several started by ``torchrun`` or SLURM.

Rank 0 decides, keeps the records and publishes; the others compute their share and wait at barriers.
"""

from __future__ import annotations

import gc
import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.processes.torch_threads import share_cores

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""Maximum time that a rank waits for the others: a stage that only rank 0 computes may take long."""

JOINING = timedelta(minutes=10)
"""Maximum time that a rank waits for the others to start: one of them may have died earlier."""


class SingleRank:
    """One process."""

    rank = 0
    size = 1

    def barrier(self) -> None:
        """Return at once."""

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """Return all items."""
        return items

    def gather(self, value: T) -> list[T]:
        """Return a list of the value."""
        return [value]

    def from_first(self, make: Callable[[], Any]) -> Any:
        """Return ``make()``."""
        return make()


class DistributedRanks:
    """Several processes, joined by ``torch.distributed`` (gloo on CPU, NCCL on CUDA)."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def barrier(self) -> None:
        """Wait for all processes; a broadcast would let some continue before others have arrived."""
        import torch
        import torch.distributed as dist

        dist.all_reduce(torch.zeros(1))

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """Return every ``size``-th item, starting with the ``rank``-th."""
        return items[self.rank :: self.size]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes in the order of their ranks; each value is pickled."""
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def from_first(self, make: Callable[[], Any]) -> Any:
        """Call ``make`` on rank 0 and return its value, which is JSON, on every rank.

        Raises:
            WsssError: ``make`` raised it on rank 0; the other ranks raise a `RunFailed` with its message.
        """
        error: Exception | None = None
        message: dict[str, Any] = {}
        if self.rank == 0:
            try:
                message = {"value": make()}
            except Exception as caught:
                error, message = caught, {"error": str(caught)}
        message = self._broadcast(message)
        if error is not None:
            raise error
        if "error" in message:
            raise RunFailed(message["error"], subject="Rank 0 failed")
        return message["value"]

    def _broadcast(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send rank 0's JSON object to all, as bytes."""
        import torch
        import torch.distributed as dist

        content = bytearray(json.dumps(message).encode()) if self.rank == 0 else bytearray()
        length = torch.tensor([len(content)], dtype=torch.int64)
        dist.broadcast(length, src=0)
        if self.rank != 0:
            content = bytearray(int(length.item()))
        buffer = torch.frombuffer(content, dtype=torch.uint8)
        dist.broadcast(buffer, src=0)
        received: dict[str, Any] = json.loads(bytes(buffer.tolist()))
        return received


AnyRanks = SingleRank | DistributedRanks


@contextmanager
def join_ranks(device: str, environment: Mapping[str, str] | None = None) -> Iterator[AnyRanks]:
    """Join the other processes of this run, if there are any, inside the block.

    Args:
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        environment: variables of ``torchrun`` and SLURM (default: ``os.environ``). Those of SLURM are used only with
            more than one task and if ``MASTER_ADDR`` is set.

    Raises:
        InvalidInput: the environment is incomplete.
        RunFailed: the other processes cannot be reached.
    """
    ranks = ranks_in(os.environ if environment is None else environment)
    if ranks is None:
        yield SingleRank()
        return
    rank, size = ranks
    import torch
    import torch.distributed as dist

    # imported before the group exists: its functions keep the present group as a default argument
    import torch.distributed.nn

    share_cores(size)
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        local = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)
        torch.cuda.set_device(local % torch.cuda.device_count())
    try:
        # gloo sends messages on the CPU, even if the GPUs use NCCL
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backend, rank=rank, world_size=size, timeout=JOINING)
        _set_timeout(PATIENCE)
    except (RuntimeError, ValueError) as error:
        hint = "Check MASTER_ADDR and MASTER_PORT, or start the processes with torchrun."
        raise RunFailed(f"cannot reach the others: {error}", subject=f"Rank {rank} of {size}", hint=hint) from error
    try:
        yield DistributedRanks(rank, size)
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they reference the model
        raise
    finally:
        # The group's threads end with the last reference to it. If they still ran while the interpreter shuts down,
        # they would abort the process. A distributed model references the group, and may be in a reference cycle.
        gc.collect()
        dist.destroy_process_group()


def _set_timeout(patience: timedelta) -> None:
    import torch.distributed as dist

    # torch has renamed this function
    set_timeout = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
    set_timeout(patience)


def ranks_in(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Return ``(rank, number of ranks)`` as ``torchrun`` or SLURM set them, or ``None`` for a single process.

    Raises:
        InvalidInput: invalid values of these variables.
    """
    for rank_name, size_name, needed in (
        ("RANK", "WORLD_SIZE", ()),
        ("SLURM_PROCID", "SLURM_NTASKS", ("MASTER_ADDR",)),
    ):
        if size_name not in environment or any(name not in environment for name in needed):
            continue
        try:
            rank, size = int(environment.get(rank_name, "")), int(environment[size_name])
        except ValueError as error:
            raise InvalidInput(
                subject=f"environment variables {size_name} and {rank_name}",
                found=(environment[size_name], environment.get(rank_name)),
                allowed="two integers",
                hint=f"Start the processes with torchrun, or unset {size_name}.",
            ) from error
        if not 0 <= rank < size:
            subject = f"environment variable {rank_name}"
            raise InvalidInput(subject=subject, found=rank, allowed=f"0 to {size_name} − 1 = {size - 1}")
        # torchrun with a single process is one process, even within a SLURM job with several tasks.
        return (rank, size) if size > 1 else None
    return None
