"""The processes and threads that compute a result; a resumed stage uses the same number of threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

from wsss.errors import counted
from wsss.io.files.stage_files import CHECKPOINT
from wsss.io.process.cores import bound_cores
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.processes.precision import PRECISIONS, SINGLE, is_possible, reason_against, usable_precision
from wsss.pipeline.processes.torch_threads import user_sets_threads
from wsss.pipeline.run.task import Session, Task
from wsss.pipeline.store.stage_folder import artifact_files

MACHINE, THREADS, MIXED = "machine", "threads", "mixed_threads"
PRECISION, MIXED_PRECISION = "precision", "mixed_precision"


def machine_record(task: Task, decision: Decision, session: Session, precision: str | None) -> dict[str, Any]:
    """Return the ``machine`` of ``stage.json``.

    Args:
        precision: the `Precision.used` of the stage, ``None`` without this setting.

    Returns:
        ``ranks`` (processes that work together), ``workers`` (processes for single images, per rank), ``threads`` of
        torch (``None`` if it is not loaded), ``effective_batch`` (images per optimiser step of all processes; ``None``
        if nothing is trained), and the ``precision`` computed in, of stages with this setting; ``mixed_threads`` and
        ``mixed_precision`` of a stage that was resumed with a different one.
    """
    trains, ranks = task.stage.trains, session.ranks.size
    record: dict[str, Any] = {
        "ranks": ranks,
        "workers": session.workers,
        THREADS: torch_threads(load=trains is not None),
        "effective_batch": trains(task.config) * ranks if trains is not None else None,
    }
    if precision is not None:
        record[PRECISION] = precision
    if trains is not None and not (task.folder / CHECKPOINT).is_file():
        return record  # the training restarts
    before = _earlier_machine(decision)
    for name, mixed in ((THREADS, MIXED), (PRECISION, MIXED_PRECISION)):
        used = {*(before.get(mixed) or ()), before.get(name), record.get(name)} - {None}
        if len(used) > 1:
            record[mixed] = sorted(used)
    return record


@dataclass(frozen=True)
class Precision:
    """The floating-point precision of a stage, and a message if it is not the requested one."""

    used: str
    note: str | None = None


def precision_of(task: Task, decision: Decision | None, session: Session) -> Precision | None:
    """Return the precision in which a stage computes; ``None`` if its config has no such setting.

    A stage resumes in the precision of its earlier work, so that its results do not depend on the machines it was
    interrupted on, unless this device cannot compute in it.

    Args:
        task, session: the stage; called by every process.
        decision: known to the first process.
    """
    wanted = getattr(task.config, PRECISION, None)
    if wanted not in PRECISIONS:  # the stage of another package may give this name another meaning
        return None
    return Precision(*session.ranks.from_first(lambda: astuple(_precision(task, decision, wanted, session.device))))


def _precision(task: Task, decision: Decision | None, wanted: str, device: str) -> Precision:
    before = None
    if decision is not None and _has_results(task):
        before = _earlier_machine(decision).get(PRECISION)
    usual = usable_precision(wanted, device)
    if before in (wanted, SINGLE) and before != usual:
        if is_possible(before, device):
            slower = "; slower, because this device emulates it" if before != SINGLE else ""
            return Precision(before, f"{task.id}: resumes in {before} as before, not {usual}{slower}")
        because = reason_against(before, device)
        note = f"warning: {task.id}: one part was computed in {before} and the rest in {usual}, because {because}."
        return Precision(usual, note)
    if usual != wanted:
        because = reason_against(wanted, device)
        return Precision(usual, f"note: {task.id}: computed in {usual} instead of {wanted}, because {because}.")
    return Precision(usual)


def _has_results(task: Task) -> bool:
    """Return whether an unfinished attempt left results in its precision: the checkpoint of a training, or files."""
    if task.stage.trains is not None:
        return (task.folder / CHECKPOINT).is_file()
    return bool(artifact_files(task.folder))


def torch_threads(*, load: bool = False) -> int | None:
    """Return torch's number of threads; ``None`` if torch is not imported and ``load`` is false."""
    if not load and "torch" not in sys.modules:
        return None
    import torch

    return torch.get_num_threads()


@contextmanager
def same_threads(task: Task, decision: Decision | None, session: Session) -> Iterator[None]:
    """Use the number of torch threads of the stage's earlier work inside the block.

    The number of threads determines the order of sums, and so the last digits of weights and maps. A number set by the
    user (``OMP_NUM_THREADS``) takes precedence.

    Args:
        task, session: the stage; called by every process.
        decision: known to the first process.
    """
    before: int | None = session.ranks.from_first(
        lambda: _earlier_machine(decision).get(THREADS) if decision is not None else None
    )
    if before is None:
        yield
        return
    import torch

    now = torch.get_num_threads()
    if user_sets_threads():
        if before != now and task.stage.trains is None:  # the training loop warns when it reads its checkpoint
            session.reporter.log(
                f"warning: {task.id}: one part was computed with {counted(before, 'thread')}, the rest with {now}"
            )
        yield
        return
    if before != now:
        session.reporter.log(
            f"{task.id}: resumes with {counted(before, 'thread')} as before, not {now}{_too_few_cores(before)}"
        )
    torch.set_num_threads(before)
    try:
        yield
    finally:
        torch.set_num_threads(now)


def _earlier_machine(decision: Decision) -> Mapping[str, Any]:
    """Return the recorded machine of earlier work that is kept; empty if there is none."""
    machine = (decision.record or {}).get(MACHINE) if decision.keep else None
    return machine if isinstance(machine, Mapping) else {}


def _too_few_cores(threads: int) -> str:
    cores = bound_cores()
    return f"; slower, because this machine has only {counted(cores, 'core')}" if cores < threads else ""
