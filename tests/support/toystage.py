"""A single toy stage in its folder, as the runner runs it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.runner import run_stage
from wsss.pipeline.run.task import Session
from wsss.pipeline.stage import Stage


def session(folder: Path) -> Session:
    """Return a session that keeps its messages, see `messages`."""
    return Session(folder, reporter=Reporter(io.StringIO()))


def messages(one: Session) -> str:
    """Return what a session has printed."""
    stream = one.reporter.stream
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def run(stage: Stage[Any], out: Path, config: dict[str, Any] | None = None, **more: Any) -> Any:
    """Run a stage into a folder; return its outcome."""
    values = {"session": session(out.parent), **more}
    return run_stage(stage, stage.config(**(config or {})), out=out, **values)
