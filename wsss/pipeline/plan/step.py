"""The elements of a plan: a job with its decision, and the options that restrict a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.plan.job import Job


@dataclass(frozen=True)
class Step:
    """One job and what to do with it.

    Args:
        folder: folder of its artifacts.
        parts, identity: everything its result depends on, and the hash of it.
        decision: whether it has to run.
        selected: it is part of this run (``--from``, ``--until``).
        forced: ``--force`` names it or a stage it depends on.
        duplicate_of: id of another step with the same identity, whose result is copied.
        result: hash of its files if it is finished; see `wsss.pipeline.plan.input_results`.
    """

    job: Job
    folder: Path
    parts: Mapping[str, Any]
    identity: str
    decision: Decision
    selected: bool
    forced: bool
    duplicate_of: str | None = None
    result: str | None = None

    @property
    def runs(self) -> bool:
        """Whether it will run."""
        return self.selected and self.decision.action == "run"


@dataclass(frozen=True)
class Choice:
    """``--from``, ``--until`` and ``--force``: ids of stages or of single instances.

    ``python``: the caller is `wsss.run_pipeline`; errors name its arguments instead of options.
    """

    start: str | None = None
    until: str | None = None
    force: str | None = None
    python: bool = False

    def named(self, option: str, value: str | None = None) -> str:
        """Return an option as the caller writes it, such as ``--from ID`` or ``start='ID'``."""
        if not self.python:
            return f"--{option} {value or ''}".rstrip()
        name = "start" if option == "from" else option
        return name if value is None else f"{name}={value!r}"
