"""Limits of this process's Linux control groups (cgroups), which containers, SLURM and systemd set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def cgroup_folders(controller: str, proc: Path = PROC, cgroups: Path = CGROUPS) -> Iterator[tuple[Path, int]]:
    """Yield the folders of this process's control group and of its parents, and the version of their files (1 or 2).

    Some may not exist: in a container, often only the root does.

    Args:
        controller: ``memory`` or ``cpu``.
        proc: mount point of procfs.
        cgroups: mount point of the cgroup file system.
    """
    for line in lines_of(proc / "self" / "cgroup"):
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            for root in (cgroups, cgroups / "unified"):
                yield from ((folder, 2) for folder in _upwards(root, name))
        elif controller in controllers.split(","):
            for root in (cgroups / controller, cgroups / controllers):
                yield from ((folder, 1) for folder in _upwards(root, name))


def _upwards(root: Path, name: str) -> Iterator[Path]:
    folder = root / name.strip("/")
    yield from (parent for parent in (folder, *folder.parents) if parent.is_relative_to(root))


def lines_of(path: Path) -> list[str]:
    """Return the lines of a kernel file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def field_of(path: Path, name: str) -> int | None:
    """Return the number after a name in a file of lines ``NAME NUMBER …``."""
    for line in lines_of(path):
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return None
