"""A stage to run, the state that all stages of a process share, and the outcome of a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wsss.pipeline.processes.device import resolve_device
from wsss.pipeline.processes.ranks import AnyRanks, SingleRank
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.stage import Artifact, Stage, StageConfig

Status = Literal["done", "skipped", "failed", "interrupted"]


@dataclass
class Session:
    """State shared by all stages of one process.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``; resolved before the first stage runs.
        workers: number of processes for per-image work.
        ranks: the processes that work together.
        on_start: called on rank 0 when a stage has begun; from then on, the records contain what ``--force`` discards.
    """

    run_dir: Path
    device: str = "cpu"
    workers: int = 1
    reporter: Reporter = field(default_factory=Reporter)
    ranks: AnyRanks = field(default_factory=SingleRank)
    on_start: Callable[[], None] = lambda: None

    def resolve_device(self) -> None:
        """Replace ``auto`` by ``cpu`` or ``cuda``."""
        self.device = resolve_device(self.device)


@dataclass(frozen=True)
class Task:
    """One stage with everything its result depends on.

    ``duplicate_of`` is the folder of a finished stage with the same identity.
    """

    id: str
    stage: Stage[Any]
    config: StageConfig
    seed: int
    inputs: Mapping[str, Any]
    data: Any
    folder: Path
    parts: Mapping[str, Any]
    duplicate_of: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a stage."""

    id: str
    uses: str
    status: Status
    seconds: float
    metrics: Mapping[str, Any]
    artifact: Artifact
    reasons: tuple[str, ...] = ()
