"""Memory available to worker processes: the minimum over the machine, its container and resource limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from wsss.io.process.cgroups import CGROUPS, PROC, cgroup_folders, field_of, lines_of

WORKER_BYTES = 150 << 20
"""Memory of an idle worker process: Python with NumPy, OpenCV and SciPy."""

USABLE_FRACTION = 0.8
"""Fraction of the available memory for all processes together; the rest covers other programs and bad estimates."""

_UNLIMITED = 1 << 60
"""cgroups v1 reports a limit of about 2⁶³ for "no limit"."""


class Budget:
    """Limits the number of workers and of concurrent items to the available memory.

    Args:
        workers: requested number of workers.
        available: available bytes, ``None`` if unknown.
        each: memory of an idle worker, 0 for a thread.
    """

    def __init__(self, workers: int, available: int | None, *, each: int = WORKER_BYTES) -> None:
        self.available = available
        room = None if available is None else int(USABLE_FRACTION * available)
        self.workers = workers if room is None else max(1, min(workers, room // each if each else workers))
        self.room = None if room is None else room - self.workers * each

    def has_room_for(self, running: Sequence[int], following: int) -> bool:
        """Return whether an item of ``following`` bytes fits in the remaining memory; a single item always does."""
        return not running or self.room is None or sum(running) + following <= self.room


def workers_that_fit(wanted: int, each: int, log: Callable[[str], None], what: str, *, processes: int = 1) -> int:
    """Return the number of workers (threads or processes) that fit into the available memory, at least 1.

    Args:
        wanted: maximum number of workers.
        each: estimated bytes per worker.
        log: prints one line if the number is reduced.
        what: the task, for the log (``"loading images"``).
        processes: number of processes on this machine that start workers at the same time and share its memory.
    """
    everything = available_bytes()
    available = None if everything is None else everything // processes
    if available is None or each <= 0 or wanted * each <= USABLE_FRACTION * available:
        return wanted
    fit = max(1, int(USABLE_FRACTION * available / each))
    log(
        f"note: {what}: {fit} workers instead of {wanted}; each needs about {size_text(each)} of memory, and "
        f"{size_text(available)} are available."
    )
    return fit


def available_bytes(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Return the bytes that can be allocated without swapping or being killed; ``None`` if unknown.

    The minimum of the machine's available memory, the unused part of the memory limits of this process's cgroups (v1
    and v2, set by containers, SLURM and systemd) and of its address space (``ulimit -v``). The last is a limit per
    process, but is conservatively shared by all of them.

    Args:
        proc: mount point of procfs.
        cgroups: mount point of the cgroup file system.
    """
    limits = [*_of_machine(proc), *_of_cgroups(proc, cgroups), *_of_process(proc)]
    return max(0, min(limits)) if limits else None


def size_text(count: int) -> str:
    """Return a number of bytes as text: ``1.5 GiB``, ``300 MiB``."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _of_machine(proc: Path) -> Iterator[int]:
    value = field_of(proc / "meminfo", "MemAvailable:")
    if value is not None:
        yield value * 1024


def _of_cgroups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield the unused memory of this process's cgroup and of its parents."""
    for folder, version in cgroup_folders("memory", proc, cgroups):
        if version == 2:
            yield from _left(folder, "memory.max", "memory.current", "inactive_file")
        else:
            yield from _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _left(folder: Path, limit: str, usage: str, cache: str) -> Iterator[int]:
    """Yield limit − usage, if there is a limit; the reclaimable page cache is not counted as used."""
    maximum, used = _number(folder / limit), _number(folder / usage)
    if maximum is None or used is None or maximum >= _UNLIMITED:
        return
    yield maximum - used + (field_of(folder / "memory.stat", cache) or 0)


def _of_process(proc: Path) -> Iterator[int]:
    with suppress(ImportError):  # not on Windows
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            yield limit - (field_of(proc / "self" / "status", "VmSize:") or 0) * 1024


def _number(path: Path) -> int | None:
    """Return the number in a file; ``None`` for ``max`` or a missing file."""
    lines = lines_of(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None
