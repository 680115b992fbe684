"""Locks of run directories and stage folders for several ranks, and temporary working folders."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.pipeline.processes.ranks import AnyRanks
from wsss.pipeline.run.task import Session
from wsss.pipeline.store import run_folder, stage_folder
from wsss.pipeline.store.lock import read_holder, remove_if_empty, run_lock

VISIBLE = 90.0
"""Seconds after which another machine sees a new file: NFS clients may cache its absence for up to a minute."""

INTERVAL = 0.1
"""Seconds between two checks for the file."""


@contextmanager
def lock_on_first(folder: Path, session: Session, *, temporary: bool = False) -> Iterator[None]:
    """Hold the lock of a folder on rank 0 inside the block, which all ranks enter if they find the same folder.

    Args:
        temporary: each rank has its own folder; only the folder of rank 0 is used.

    Raises:
        InvalidInput: see `require_shared`.
    """
    first = session.ranks.rank == 0
    with run_lock(folder, session.reporter.log) if first else nullcontext():
        if not temporary:
            require_shared(folder, session.ranks)
        yield


def require_shared(folder: Path, ranks: AnyRanks) -> None:
    """Require that all ranks see the folder that rank 0 has locked, by the file that names the holder of the lock.

    If each machine had its own folder, a stage would be recorded as finished without the files of the others.

    Args:
        folder: as passed to this process; called by every rank, on rank 0 while it holds the lock.

    Raises:
        InvalidInput: a rank finds a different folder; raised on every rank.
    """
    if ranks.size == 1:
        return
    locked_by: dict[str, Any] | None = ranks.from_first(lambda: _holder(folder))
    end = time.monotonic() + VISIBLE
    while not (seen := _holder(folder) == locked_by) and time.monotonic() < end:
        time.sleep(INTERVAL)
    blind = [str(rank) for rank, sees in enumerate(ranks.gather(seen)) if not sees]
    if blind:
        word = "rank" if len(blind) == 1 else "ranks"
        raise InvalidInput(
            f"not shared by all processes: {word} {listing(blind)} of {ranks.size} found a different folder than "
            "rank 0",
            subject=folder,
            hint="Use a folder on a file system that all machines share (--run-dir or --out), and start all processes "
            "in the same directory.",
        )


def _holder(folder: Path) -> dict[str, Any] | None:
    holder = read_holder(folder)
    return None if holder is None else asdict(holder)


@contextmanager
def locked_for(out: Path, session: Session, *, temporary: bool = False) -> Iterator[Path]:
    """Hold the lock that guards a single stage's folder; yield the folder for generated data.

    Inside a run directory both are the run's, so that a stage and its pipeline do not run at the same time. A folder
    created here is deleted again if it stays empty.

    Args:
        temporary: see `lock_on_first`.

    Raises:
        InvalidInput: ``out`` contains other files, or see `require_shared`.
        RunFailed: it is not writable, or another process holds its lock.
    """
    inside_run: bool = session.ranks.from_first(lambda: run_folder.read_run(out.parent) is not None)
    guarded, first, new = out.parent if inside_run else out, session.ranks.rank == 0, not out.exists()
    if first:
        stage_folder.check_stage_folder(out)
        run_folder.make_run_dir(guarded)
    with lock_on_first(guarded, session, temporary=temporary):
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
