"""Kills a process at a chosen atomic write, to see that a later one puts everything right.

`wsss.io.atomic.atomic_open` makes a file visible in three steps: write and ``fsync`` the temporary file, rename it,
``fsync`` the folder. The harness counts calls of ``os.fsync`` in a child process and lets SIGKILL strike at the n-th:
before it (the temporary file may be incomplete), or after it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

KILLED = -signal.SIGKILL


def run_and_kill(work: Callable[[], Any], at: int | None, *, before: bool = True) -> tuple[int, int]:
    """Run ``work`` in a forked child that kills itself at its ``at``-th ``os.fsync`` (counted from 1).

    Args:
        work: what to run; an exception in it makes the child exit with 1.
        at: which call; ``None``: never (to count them).
        before: strike before the call, or after it.

    Returns:
        The child's exit code (`KILLED`, or 0 when it ended before the n-th call), and the number of calls it made.
        Only calls in the child itself count and kill, not those of processes it starts.
    """
    context = multiprocessing.get_context("fork")
    count = context.Value("i", 0)
    child = context.Process(target=_child, args=(work, at, before, count))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode, count.value


def snapshot(folder: Path, *, ignore: Callable[[str], bool] = lambda name: False) -> Mapping[str, bytes]:
    """Return relative path → bytes of all files below a folder but those to ignore."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if not ignore(name)}


def is_bookkeeping(name: str) -> bool:
    """Tell whether a file of a run directory holds times or host names, and so differs from run to run."""
    last = name.rsplit("/", 1)[-1]
    return last in ("run.json", "run.log", "stage.json") or last.startswith(".wsss-") or "tensorboard/" in name


def _child(work: Callable[[], Any], at: int | None, before: bool, count: Any) -> None:
    real, me = os.fsync, os.getpid()

    def fsync(descriptor: int) -> None:
        if os.getpid() != me:  # forked further
            return real(descriptor)
        count.value += 1
        if count.value == at and before:
            os.kill(me, signal.SIGKILL)
        real(descriptor)
        if count.value == at:
            os.kill(me, signal.SIGKILL)

    os.fsync = fsync  # type: ignore[assignment]
    work()
