"""Locks of run directories and stage folders for several ranks, and temporary working folders."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsss.pipeline.run.task import Session
from wsss.pipeline.store import run_folder, stage_folder
from wsss.pipeline.store.lock import remove_if_empty, run_lock


@contextmanager
def lock_on_first(folder: Path, session: Session) -> Iterator[None]:
    """Hold the lock of a folder on rank 0 inside the block."""
    if session.ranks.rank != 0:
        yield
        return
    with run_lock(folder, session.reporter.log):
        yield


@contextmanager
def locked_for(out: Path, session: Session) -> Iterator[Path]:
    """Hold the lock that guards a single stage's folder; yield the folder for generated data.

    Inside a run directory both are the run's, so that a stage and its pipeline do not run at the same time. A folder
    created here is deleted again if it stays empty.

    Raises:
        InvalidInput: ``out`` contains other files.
        RunFailed: it is not writable, or another process holds its lock.
    """
    inside_run = run_folder.read_run(out.parent) is not None
    guarded, first, new = out.parent if inside_run else out, session.ranks.rank == 0, not out.exists()
    if first:
        stage_folder.check_stage_folder(out)
        run_folder.make_run_dir(guarded)
    with lock_on_first(guarded, session):
        try:
            if first and inside_run:
                run_folder.make_run_dir(out)
            yield out.parent / run_folder.DATA if inside_run else out / stage_folder.WORK
        finally:
            if new and first:
                remove_if_empty(out)


@contextmanager
def scratch_copy(data: Path) -> Iterator[Path]:
    """Yield a temporary copy of the dataset's working folder, in which a dry run may generate data."""
    with tempfile.TemporaryDirectory(prefix="wsss-dry-run-") as name:
        work = Path(name) / run_folder.DATA
        if data.is_dir():
            shutil.copytree(data, work, symlinks=True)
        yield work
