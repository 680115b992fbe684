"""``run.json``: what was run, by which command, with which versions, and how it ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsss.errors import WsssError
from wsss.pipeline.config.spec import Spec
from wsss.pipeline.plan.graph import Job
from wsss.pipeline.plan.identity import plain
from wsss.pipeline.run.task import Session
from wsss.pipeline.store import run_folder
from wsss.pipeline.store.versions import versions


class Journal:
    """Keeps ``run.json``; on rank 0 only."""

    def __init__(self, spec: Spec, jobs: Mapping[str, Job], session: Session, command: Sequence[str]) -> None:
        self.session = session
        self.noted = False
        self.record: dict[str, Any] = {
            "name": spec.name,
            "description": spec.description,
            "status": "running",
            "seed": spec.seed,
            "pipeline": plain(spec.resolved),
            "command": list(command),
            "directory": os.fspath(Path.cwd()),
            "stages": [{"id": job.id, "uses": job.stage.name, "needs": list(job.needs)} for job in jobs.values()],
            "host": socket.gethostname(),
            "started": _now(),
            "finished": None,
            "report": None,
            "failed": None,
        }

    def begin(self) -> None:
        """Make sure there is a ``run.json`` before anything else is put into the folder."""
        if run_folder.read_run(self.session.run_dir) is None:
            self.note("running")

    def note(self, status: str) -> None:
        """Write ``run.json``."""
        self.noted = True
        self.record = {**self.record, "status": status, "versions": dict(versions()), "device": self.session.device}
        run_folder.write_run(self.session.run_dir, self.record)

    def end(self, status: str, report: Path | None, error: BaseException | None, failed: str | None = None) -> None:
        """Write how it ended, and at which stage; a run that had nothing to do leaves ``run.json`` as it is."""
        if self.session.ranks.rank != 0:
            return
        known = run_folder.read_run(self.session.run_dir) or {}
        same = all(known.get(key) == self.record[key] for key in ("pipeline", "stages"))
        if not self.noted and status == "done" and known.get("status") == "done" and same:
            return
        self.record["finished"], self.record["failed"] = _now(), failed
        self.record["report"] = report.relative_to(self.session.run_dir).as_posix() if report else None
        try:
            self.note(status)
        except WsssError:
            if error is None:
                raise  # otherwise the first error (a full disk, say) is the one to tell


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
