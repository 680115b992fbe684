"""``run.json``: the pipeline, the command, versions, and the end of the run."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.errors import WsssError
from wsss.io.files.stage_files import RECORD
from wsss.io.text.times import timestamp
from wsss.pipeline.config.spec import Spec
from wsss.pipeline.plan.identity import plain
from wsss.pipeline.plan.job import Job
from wsss.pipeline.plan.step import Step
from wsss.pipeline.run.task import Session
from wsss.pipeline.store import run_folder
from wsss.pipeline.store.outdated import OUTDATED
from wsss.pipeline.store.stage_folder import read_record
from wsss.pipeline.store.versions import versions


class RunRecord:
    """Writes ``run.json``; on rank 0 only."""

    def __init__(self, spec: Spec, jobs: Mapping[str, Job], session: Session, command: Sequence[str]) -> None:
        self.session = session
        self.started = self.written = False
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
            "started": timestamp(),
            "finished": None,
            "report": None,
            "failed": None,
            OUTDATED: {},
        }

    def plan(self, steps: Iterable[Step]) -> None:
        """List the results of other settings or datasets that remain if this run ends before it replaces them."""
        for step in steps:
            before = (step.decision.record or {}).get("identity")
            if step.identity and before not in (None, step.identity):
                self.record[OUTDATED][step.job.id] = before

    def begin(self) -> None:
        """Write a ``run.json`` before any other file of the run directory, if there is none."""
        if run_folder.read_run(self.session.run_dir) is None:
            self.write("running")

    def start(self) -> None:
        """Replace the ``run.json`` of an earlier run: the first stage starts, and may replace its results."""
        self.started = True
        self.write("running")

    def write(self, status: str) -> None:
        """Write ``run.json``."""
        self.written = True
        self.record = {**self.record, "status": status, "versions": dict(versions()), "device": self.session.device}
        run_folder.write_run(self.session.run_dir, self.record)

    def end(self, status: str, report: Path | None, error: BaseException | None, failed: str | None = None) -> None:
        """Write the end of the run; a run with nothing to do leaves ``run.json`` unchanged.

        If the run ended before a stage started, earlier results remain, and with them the record of the pipeline and
        the dataset that they belong to.

        Args:
            status: ``done``, ``failed`` or ``interrupted``.
            failed: id of the stage that failed.
        """
        if self.session.ranks.rank != 0:
            return
        known = run_folder.read_run(self.session.run_dir) or {}
        self._forget_replaced()
        same = all(known.get(key) == self.record[key] for key in ("pipeline", "stages"))
        same &= (known.get(OUTDATED) or {}) == self.record[OUTDATED]
        if not self.written and status == "done" and known.get("status") == "done" and same:
            return
        ended = {"status": status, "finished": timestamp(), "failed": failed}
        try:
            if not self.written and status != "done" and self._has_results(known):
                run_folder.write_run(self.session.run_dir, {**known, **ended})
                return
            page = report.relative_to(self.session.run_dir).as_posix() if report else None
            self.record = {**self.record, **ended, "report": page}
            self.write(status)
        except WsssError:
            if error is None:
                raise  # otherwise the first error (a full disk, for example) is the one to report

    def _forget_replaced(self) -> None:
        """Remove the results of other settings that this run has replaced from the list of those that remain."""
        listed = self.record[OUTDATED]
        records = {id: read_record(self.session.run_dir / id) or {} for id in listed}
        self.record[OUTDATED] = {id: old for id, old in listed.items() if records[id].get("identity") == old}

    def _has_results(self, known: Mapping[str, Any]) -> bool:
        """Return whether a stage of a recorded run has ever started."""
        return any((self.session.run_dir / stage["id"] / RECORD).is_file() for stage in known.get("stages") or ())
