"""Kill a process at a chosen atomic write, to test that a later one repairs everything.

`wsss.io.files.atomic.atomic_open` makes a file visible in three steps: write and ``fsync`` the temporary file, rename
it, ``fsync`` the folder. The harness counts calls of ``os.fsync`` in a process and sends SIGKILL at the n-th: before
it (the temporary file may be incomplete) or after it.

`run_and_kill` forks this process (fast; only for work that starts no threads), `kill_command` starts ``wsss …`` (for
real pipelines).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KILLED = -signal.SIGKILL
STRIKE = "WSSS_TEST_STRIKE"
"""Environment variable with the arguments of `strike` for the started command."""


def run_and_kill(work: Callable[[], Any], at: int | None, *, before: bool = True) -> tuple[int, int]:
    """Run ``work`` in a forked child that kills itself at its ``at``-th ``os.fsync`` (counted from 1).

    Args:
        work: function to run; after an exception the child exits with 1.
        at: number of the call; ``None``: never (to count them).
        before: kill before the call rather than after it.

    Returns:
        The child's exit code (`KILLED`, or 0 if it ended before the n-th call), and the number of its calls. Calls of
        processes that it starts do not count.
    """
    context = multiprocessing.get_context("fork")
    count = context.Value("i", 0)
    child = context.Process(target=_child, args=(work, at, before, count))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode, count.value


def kill_command(
    arguments: Sequence[str],
    at: int | None,
    *,
    cwd: Path,
    before: bool = True,
    after: Path | None = None,
    start: Sequence[str] = (sys.executable, __file__),
    timeout: float = 600,
    **more: str,
) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run ``wsss ARGUMENTS`` in a process that kills itself at its ``at``-th ``os.fsync``; see `run_and_kill`.

    Args:
        arguments: arguments of ``wsss``.
        at: number of the call; ``None``: never.
        cwd: working directory; the count is written to its ``.fsync-count``.
        before: kill before the call rather than after it.
        after: count calls once this file exists; ``None``: all of them. The number of earlier calls may depend on the
            load of the machine, since some files are written at intervals.
        start: words that start the command, or `warm.command`.
        timeout: seconds.
        more: environment variables.

    Returns:
        The finished process (its ``returncode`` is `KILLED` after a kill), and the number of its calls; other threads
        may call until the signal arrives.
    """
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    counter = cwd / ".fsync-count"
    asked = {"at": at, "before": before, "counter": str(counter), "after": str(after or "")}
    done = subprocess.run(
        [*start, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **more, STRIKE: json.dumps(asked)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return done, len(counter.read_bytes())


@contextmanager
def memory_folder(fallback: Path) -> Iterator[Path]:
    """Yield a folder in memory, if the system has one: ``fsync`` is fast there."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield fallback
        return
    with tempfile.TemporaryDirectory(prefix="wsss-test-", dir=memory) as name:
        yield Path(name)


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended may still be in the table of processes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def group_exists(group: int) -> bool:
    """Return whether any process of a group exists."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def snapshot(folder: Path, *, ignore: Callable[[str], bool] = lambda name: False) -> Mapping[str, bytes]:
    """Return relative path → bytes of all files below a folder, except ignored ones."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if not ignore(name)}


def is_bookkeeping(name: str) -> bool:
    """Return whether a file of a run directory holds times or host names, which differ between runs."""
    last = name.rsplit("/", 1)[-1]
    return last in ("run.json", "run.log", "stage.json") or last.startswith(".wsss-") or "tensorboard/" in name


def strike(at: int | None, before: bool, counted: Callable[[], int]) -> None:
    """Replace `os.fsync` in this process: the ``at``-th call kills it; ``counted`` returns the number of the call."""
    real, me = os.fsync, os.getpid()

    def fsync(descriptor: int) -> None:
        if os.getpid() != me:  # a process forked from this one
            real(descriptor)
            return
        number = counted()
        if number == at and before:
            os.kill(me, signal.SIGKILL)
        real(descriptor)
        if number == at:
            os.kill(me, signal.SIGKILL)

    os.fsync = fsync  # type: ignore[assignment]


def _child(work: Callable[[], Any], at: int | None, before: bool, count: Any) -> None:
    def counted() -> int:
        count.value += 1
        return int(count.value)

    strike(at, before, counted)
    work()


def strike_as_asked() -> bool:
    """Apply `STRIKE`, if `kill_command` started this process."""
    if STRIKE not in os.environ:
        return False
    asked = json.loads(os.environ.pop(STRIKE))
    file = os.open(asked["counter"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    made, lock = 0, threading.Lock()

    def counted() -> int:
        nonlocal made
        with lock:  # a command may write with several threads
            if not asked["after"] or Path(asked["after"]).exists():
                made += os.write(file, b".")
            return made

    strike(asked["at"], asked["before"], counted)
    return True


def _main() -> None:
    sys.argv[0] = "wsss"
    strike_as_asked()
    from wsss.cli.main import main

    main(sys.argv[1:])


if __name__ == "__main__":
    _main()
