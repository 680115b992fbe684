"""How much memory is left for worker processes: the least of what the machine, a container and a limit allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

WORKER_BYTES = 150 << 20
"""Memory of a worker process before it works on anything: Python with NumPy, OpenCV and SciPy."""

SHARE = 0.8
"""Of the available memory, what the processes may use together: other programs need some, and estimates err."""

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")

_UNLIMITED = 1 << 60
"""Version 1 of cgroups writes a limit of about 2⁶³ where there is none."""


class Budget:
    """Which items can be worked on at a time within the available memory.

    Args:
        workers: processes that are wanted.
        available: bytes, ``None`` where unknown.
    """

    def __init__(self, workers: int, available: int | None) -> None:
        self.available = available
        room = None if available is None else int(SHARE * available)
        self.workers = workers if room is None else max(1, min(workers, room // WORKER_BYTES))
        self.room = None if room is None else room - self.workers * WORKER_BYTES

    def admits(self, running: Sequence[int], following: int) -> bool:
        """Tell whether an item that needs ``following`` bytes fits beside those that run; alone it always does."""
        return not running or self.room is None or sum(running) + following <= self.room


def that_fit(wanted: int, each: int, log: Callable[[str], None], what: str) -> int:
    """Return how many threads or processes to use where every one needs ``each`` bytes: at least 1.

    Args:
        wanted: at most.
        each: an estimate.
        log: prints a line if memory makes it fewer.
        what: what they do (``"loading images"``).
    """
    available = available_bytes()
    if available is None or each <= 0 or wanted * each <= SHARE * available:
        return wanted
    fit = max(1, int(SHARE * available / each))
    log(
        f"note: {what}: {fit} instead of {wanted} at a time, since each needs about {size_text(each)} and "
        f"{size_text(available)} of memory are available."
    )
    return fit


def available_bytes(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Return the bytes that can be allocated before the system swaps, refuses or kills; ``None`` where unknown.

    The least of the machine's available memory, what is left of the memory limits of this process's cgroups
    (versions 1 and 2: containers, SLURM and systemd set them), and of its address space (``ulimit -v``). The last is
    a limit of each process; here it counts for all of them together, to be safe.

    Args:
        proc, cgroups: where the system shows them.
    """
    found = [*_of_machine(proc), *_of_cgroups(proc, cgroups), *_of_process(proc)]
    return max(0, min(found)) if found else None


def size_text(count: int) -> str:
    """Return a number of bytes as people read it: ``1.5 GiB``, ``300 MiB``."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _of_machine(proc: Path) -> Iterator[int]:
    value = _field(proc / "meminfo", "MemAvailable:")
    if value is not None:
        yield value * 1024


def _of_cgroups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield what is left of each limit that holds for this process: its own cgroup's, and those above it."""
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            for root in (cgroups, cgroups / "unified"):
                for folder in _upwards(root, name):
                    yield from _left(folder, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            for folder in _upwards(cgroups / "memory", name):
                yield from _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _upwards(root: Path, name: str) -> Iterator[Path]:
    """Yield the folder of a cgroup and of those above it; in a container only the root may be there."""
    folder = root / name.strip("/")
    yield from (one for one in (folder, *folder.parents) if one.is_relative_to(root))


def _left(folder: Path, limit: str, usage: str, cache: str) -> Iterator[int]:
    """Yield limit − usage, if there is a limit; the page cache that can be dropped doesn't count as used."""
    most, used = _number(folder / limit), _number(folder / usage)
    if most is None or used is None or most >= _UNLIMITED:
        return
    yield most - used + (_field(folder / "memory.stat", cache) or 0)


def _of_process(proc: Path) -> Iterator[int]:
    with suppress(ImportError):  # not on Windows
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            yield limit - (_field(proc / "self" / "status", "VmSize:") or 0) * 1024


def _number(path: Path) -> int | None:
    """Return the only number of a file; ``None`` where there is none (``max``)."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _field(path: Path, name: str) -> int | None:
    """Return the number behind a name in a file of lines ``NAME NUMBER …``."""
    for line in _lines(path):
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
