"""Stages of a run that are the same work: it is done once and copied.

The variants of an ablation often share their beginning: of expansion alone, and with three kinds of shrinkage behind
it, the expansion is one and the same training. Stages of equal identity have equal results, byte by byte, so the second
takes those of the first. Copied, not linked: a folder that is repaired or edited must not change another one.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.io.atomic import atomic_open
from wsss.pipeline import store
from wsss.pipeline.stage import Result

if TYPE_CHECKING:
    from wsss.pipeline.plan import Step


def find_twins(plan: Sequence[Step]) -> dict[str, str]:
    """Return step that runs → step whose result it can take: a finished one if there is any, else the first that runs.

    A step that is forced takes none that was finished before.
    """
    finished: dict[str, str] = {}
    first: dict[str, str] = {}
    for step in plan:
        if step.runs:
            first.setdefault(step.identity, step.job.id)
        elif step.decision.action == "skip":
            finished.setdefault(step.identity, step.job.id)
    found = {}
    for step in plan:
        if step.runs:
            twin = first[step.identity] if step.forced else finished.get(step.identity, first[step.identity])
            if twin != step.job.id:
                found[step.job.id] = twin
    return found


def read_twin(folder: Path, identity: str) -> dict[str, Any] | None:
    """Return the record of a finished stage if it is of this identity and its files are what they were."""
    record = store.read_record(folder)
    if record is None or record.get("status") != "done" or record.get("identity") != identity:
        return None
    return None if store.verify(folder, record["artifacts"]) else record


def copy_result(source: Path, record: Mapping[str, Any], target: Path) -> Result:
    """Copy a finished stage's files into another folder; return what it had measured.

    Raises:
        RunFailed: the disk is full, or the folder can't be written to.
    """
    for name in record["artifacts"]:
        with (source / name).open("rb") as old, atomic_open(target / name) as new:
            shutil.copyfileobj(old, new)
    return Result(record["metrics"], record["provenance"])
