"""Whether a stage has to run, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wsss.errors import listing
from wsss.pipeline.plan.identity import Parts, identity_of
from wsss.pipeline.plan.identity_changes import describe_changes
from wsss.pipeline.store.stage_folder import Damage, read_record, verify


@dataclass(frozen=True)
class Decision:
    """The decision about one stage.

    Args:
        action: ``skip`` a finished stage, ``run`` any other.
        keep: the files in the folder are kept, and the stage resumes from them.
        damages: artifacts to delete before it runs.
        record: the ``stage.json`` of the folder, if there is one.
    """

    action: Literal["skip", "run"]
    reasons: tuple[str, ...]
    keep: bool = False
    damages: tuple[Damage, ...] = ()
    record: Mapping[str, Any] | None = None

    @property
    def deletes(self) -> bool:
        """Whether running the stage deletes an earlier result."""
        return self.action == "run" and self.record is not None and not self.keep


def decide(
    folder: Path,
    parts: Parts,
    *,
    force: bool = False,
    keeps: Callable[[Path, Parts, Parts], bool] = lambda folder, before, now: False,
) -> Decision:
    """Compare the record in a stage's folder with the identity that its result would have now.

    Args:
        folder: the stage's folder; it need not exist.
        parts: the identity that the result would have now.
        force: run from scratch in any case.
        keeps: see `Stage.keeps`.

    Raises:
        InvalidInput: an invalid ``stage.json``.
    """
    record = read_record(folder)
    if force:
        return Decision("run", ("forced",), record=record)
    if record is None:
        return Decision("run", ("never ran",))
    status = record.get("status")
    if record["identity"] != identity_of(parts):
        before = record.get("identity_parts") or {}
        keep = status not in ("done", "stale") and keeps(folder, before, parts)
        return Decision("run", tuple(describe_changes(before, parts)), keep=keep, record=record)
    if status == "stale":  # an earlier run with --force ended before this stage
        return Decision("run", ("forced",), record=record)
    if status != "done":
        reason = "failed last time" if status == "failed" else "interrupted"
        return Decision("run", (reason,), keep=True, record=record)
    artifacts = record.get("artifacts") or {}
    if verify(folder, artifacts):
        damages = tuple(verify(folder, artifacts, content=True))  # files that are kept enter a new record
        return Decision("run", (listing(damages, limit=3),), keep=True, damages=damages, record=record)
    return Decision("skip", ("finished",), keep=True, record=record)
