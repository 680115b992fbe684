"""Whether a stage has to run, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wsss.errors import listing
from wsss.pipeline.plan.identity import Parts, explain, identity_of
from wsss.pipeline.store.stage_folder import Damage, read_record, verify


@dataclass(frozen=True)
class Decision:
    """What is to be done with one stage.

    Args:
        action: ``skip``: it is finished; ``run``: it is not.
        reasons: in words, for people.
        keep: the files in the folder stay, and the run resumes with them.
        damages: artifacts to delete before it runs.
        record: the folder's ``stage.json``, if there is one.
    """

    action: Literal["skip", "run"]
    reasons: tuple[str, ...]
    keep: bool = False
    damages: tuple[Damage, ...] = ()
    record: Mapping[str, Any] | None = None

    @property
    def deletes(self) -> bool:
        """Whether there is an earlier result, and running the stage deletes it."""
        return self.action == "run" and self.record is not None and not self.keep


def decide(
    folder: Path,
    parts: Parts,
    *,
    force: bool = False,
    keeps: Callable[[Path, Parts, Parts], bool] = lambda folder, before, now: False,
) -> Decision:
    """Compare a stage's folder with what it would hold now.

    Args:
        folder: the stage's folder; it need not exist.
        parts: the identity the result would have now.
        force: run it from scratch whatever is there.
        keeps: see `Stage.keeps`.

    Raises:
        InvalidInput: ``stage.json`` is there but broken.
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
        return Decision("run", tuple(explain(before, parts)), keep=keep, record=record)
    if status == "stale":  # marked by a run that was told to --force it, and didn't get there
        return Decision("run", ("forced",), record=record)
    if status != "done":
        reason = "failed last time" if status == "failed" else "interrupted"
        return Decision("run", (reason,), keep=True, record=record)
    artifacts = record.get("artifacts") or {}
    if verify(folder, artifacts):
        damages = tuple(verify(folder, artifacts, content=True))  # what is kept gets a new record: it must be right
        return Decision("run", (listing(damages, limit=3),), keep=True, damages=damages, record=record)
    return Decision("skip", ("finished",), keep=True, record=record)
