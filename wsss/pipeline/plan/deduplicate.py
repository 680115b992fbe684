"""Deduplication: steps of equal identity are computed once and copied.

The variants of an ablation often share their first stages. Steps of equal identity have equal results (byte by byte on
a CPU; on a GPU as equal as two runs). Files are copied rather than linked, so that repairing or editing one folder does
not change another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.errors import RunFailed, Verbatim
from wsss.io.files.atomic import write_bytes
from wsss.io.files.contained import open_to_read
from wsss.io.files.recorded import rerun_hint
from wsss.pipeline.plan.input_results import Results
from wsss.pipeline.plan.step import Step
from wsss.pipeline.store import stage_folder


def find_duplicates(plan: Sequence[Step]) -> dict[str, str]:
    """Return step that runs → step to copy: a finished one if there is any, otherwise the first that runs.

    A step does not copy a finished one if it is forced, by this run or by an earlier run that ended before the step. A
    step that resumes does not copy a step that still has to run.
    """
    finished: dict[str, str] = {}
    first: dict[str, str] = {}
    for step in plan:
        if step.runs:
            first.setdefault(step.identity, step.job.id)
        elif step.decision.action == "skip":
            finished.setdefault(step.identity, step.job.id)
    duplicates = {}
    for step in plan:
        if step.runs:
            original = None if _forced(step) else finished.get(step.identity)
            if original is None and not step.decision.keep:
                original = first[step.identity]
            if original is not None and original != step.job.id:
                duplicates[step.job.id] = original
    return duplicates


def _forced(step: Step) -> bool:
    record = step.decision.record or {}
    return step.forced or record.get("status") == "stale" or bool(record.get("forced"))


def read_original(folder: Path, identity: str, results: Results) -> dict[str, Any] | None:
    """Return the result of a finished stage if it has this identity and its files are intact.

    Args:
        identity, results: identity of the duplicate, and hashes of its inputs.

    Returns:
        ``folder`` (its name), ``made_by`` (the same, or the stage that it was copied from), ``metrics``,
        ``provenance``, and ``files``: name → SHA-256.
    """
    record = stage_folder.read_record(folder)
    if record is None or record.get("status") != "done" or record.get("identity") != identity:
        return None
    if record.get(stage_folder.INPUT_RESULTS) != results:
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


def copy_files(original: Mapping[str, Any], run_dir: Path, target: Path) -> None:
    """Copy the files of a finished stage into another folder.

    Args:
        original: see `read_original`.
        run_dir: parent of its folder.

    Raises:
        RunFailed: a file is damaged, the disk is full, or the folder is not writable.
    """
    folder = run_dir / original["folder"]
    for name, digest in original["files"].items():
        with open_to_read(folder / name) as file:
            content = file.read()
        actual = hashlib.sha256(content).hexdigest()
        if actual != digest:
            raise RunFailed(
                "the file is damaged, or changed while it was copied",
                subject=folder / name,
                found=Verbatim(f"{actual[:12]}…"),
                allowed=f"the SHA-256 {digest[:12]}… recorded when stage {folder.name!r} finished",
                hint=rerun_hint(folder, folder.name),
            )
        write_bytes(target / name, content)
