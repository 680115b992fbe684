"""What a result was made with: processes and threads. A stage is resumed with the threads that it began with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from wsss.io.files.stage_files import CHECKPOINT
from wsss.io.process.cores import available_cores
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.processes.torch_threads import threads_are_asked_for
from wsss.pipeline.run.task import Session, Task

MACHINE, THREADS, MIXED = "machine", "threads", "mixed_threads"


def machine_record(task: Task, decision: Decision, session: Session) -> dict[str, Any]:
    """Return what ``stage.json`` keeps of the machine.

    Returns:
        ``ranks`` (processes that work together), ``workers`` (each one's processes for single images), ``threads`` of
        torch (``None`` where it isn't loaded), ``effective_batch`` (images per optimiser step, of all processes;
        ``None`` where nothing is trained), and ``mixed_threads`` of a stage that was resumed with another number.
    """
    trains, ranks = task.stage.trains, session.ranks.size
    record: dict[str, Any] = {
        "ranks": ranks,
        "workers": session.workers,
        THREADS: torch_threads(load=trains is not None),
        "effective_batch": trains(task.config) * ranks if trains is not None else None,
    }
    if trains is not None and not (task.folder / CHECKPOINT).is_file():
        return record  # it starts again
    before = _begun_with(decision)
    used = {*before.get(MIXED, ()), before.get(THREADS), record[THREADS]} - {None}
    return {**record, MIXED: sorted(used)} if len(used) > 1 else record


def torch_threads(*, load: bool = False) -> int | None:
    """Return the number of threads that torch computes with; ``None`` where it isn't loaded and needn't be."""
    if not load and "torch" not in sys.modules:
        return None
    import torch

    return torch.get_num_threads()


@contextmanager
def threads_as_begun(task: Task, decision: Decision | None, session: Session) -> Iterator[None]:
    """Let torch use, inside the block, as many threads as the stage's earlier work of the same identity.

    Their number decides in which order sums are added up, and so the last digits of weights and maps. Another number
    that is asked for (``OMP_NUM_THREADS``) is used all the same.

    Args:
        task, session: what runs; every process calls this.
        decision: known to the first process.
    """
    begun: int | None = session.ranks.from_first(
        lambda: _begun_with(decision).get(THREADS) if decision is not None else None
    )
    if begun is None:
        yield
        return
    import torch

    now = torch.get_num_threads()
    if threads_are_asked_for():
        if begun != now and task.stage.trains is None:  # a training warns when it reads its checkpoint
            session.reporter.log(f"warning: {task.id}: part of it was made on {_count(begun)}, the rest on {now}")
        yield
        return
    if begun != now:
        session.reporter.log(f"{task.id}: computes on {_count(begun)} as it did before, not on {now}{_slow(begun)}")
    torch.set_num_threads(begun)
    try:
        yield
    finally:
        torch.set_num_threads(now)


def _begun_with(decision: Decision) -> Mapping[str, Any]:
    """Return the machine of the earlier work that is kept; empty where there is none, or none is recorded."""
    machine = (decision.record or {}).get(MACHINE) if decision.keep else None
    return machine if isinstance(machine, Mapping) else {}


def _slow(threads: int) -> str:
    cores = available_cores()
    return f"; this machine has {cores} core(s) only, which makes it slower" if cores < threads else ""


def _count(threads: int) -> str:
    return f"{threads} threads" if threads > 1 else "1 thread"
