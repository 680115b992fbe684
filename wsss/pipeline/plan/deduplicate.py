"""Stages of a run that are the same work: it is done once and copied.

The variants of an ablation often share their beginning: of expansion alone, and with three kinds of shrinkage behind
it, the expansion is one and the same training. Stages of equal identity have equal results (byte by byte on a CPU; on
a GPU they are as equal as two runs), so the second takes those of the first. Copied, not linked: a folder that is
repaired or edited must not change another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import RunFailed
from wsss.io.files.atomic import write_bytes
from wsss.io.files.contained import open_to_read
from wsss.io.files.recorded import rerun_hint
from wsss.pipeline.plan.input_results import INPUT_RESULTS, Results
from wsss.pipeline.store import stage_folder

if TYPE_CHECKING:
    from wsss.pipeline.plan.run_plan import Step


def find_twins(plan: Sequence[Step]) -> dict[str, str]:
    """Return step that runs → step whose result it can take: a finished one if there is any, else the first that runs.

    A step that is forced, now or in a run that didn't get to its end, takes none that was finished before. One that
    resumes waits for no other.
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
            twin = None if _forced(step) else finished.get(step.identity)
            if twin is None and not step.decision.keep:
                twin = first[step.identity]
            if twin is not None and twin != step.job.id:
                found[step.job.id] = twin
    return found


def _forced(step: Step) -> bool:
    record = step.decision.record or {}
    return step.forced or record.get("status") == "stale" or bool(record.get("forced"))


def read_twin(folder: Path, identity: str, results: Results) -> dict[str, Any] | None:
    """Return what is known of a finished stage if it is the same work and its files are what they were.

    Args:
        folder: of the finished stage.
        identity, results: of the stage that would take its files, and of that stage's inputs.

    Returns:
        ``folder`` (its name), ``made_by`` (itself, or the stage that it is a copy of), ``metrics``,
        ``provenance``, and ``files``: name → SHA-256.
    """
    record = stage_folder.read_record(folder)
    if record is None or record.get("status") != "done" or record.get("identity") != identity:
        return None
    if record.get(INPUT_RESULTS) != results:
        return None
    artifacts = record.get("artifacts") or {}
    if not all(known.get("sha256") for known in artifacts.values()) or stage_folder.verify(folder, artifacts):
        return None
    return {
        "folder": folder.name,
        "made_by": record.get("same_as") or folder.name,
        "metrics": record["metrics"],
        "provenance": record["provenance"],
        "files": {name: known["sha256"] for name, known in artifacts.items()},
    }


def copy_files(twin: Mapping[str, Any], run_dir: Path, target: Path) -> None:
    """Copy the files of a finished stage of a run into another folder.

    Args:
        twin: see `read_twin`.
        run_dir: where its folder is.
        target: the other folder.

    Raises:
        RunFailed: a file is damaged; or the disk is full, or the folder can't be written to.
    """
    for name, digest in twin["files"].items():
        with open_to_read(run_dir / twin["folder"] / name) as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != digest:
            raise RunFailed(
                f"{run_dir / twin['folder'] / name} is damaged, or changed while it was copied: it isn't what was "
                f"recorded when stage {twin['folder']!r} finished.",
                hint=rerun_hint(run_dir / twin["folder"], twin["folder"]),
            )
        write_bytes(target / name, content)
