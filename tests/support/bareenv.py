"""A virtual environment that contains a few installed packages, what they require, and nothing else."""

from __future__ import annotations

import sysconfig
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def bare_environment(folder: Path, *names: str) -> Path:
    """Create a virtual environment with links to installed packages; return its interpreter.

    Args:
        folder: of the environment.
        names: distributions; their requirements are added.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    for found in _with_requirements(names):
        files = found.files or []
        for part in sorted({file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}):
            (packages / part).symlink_to(Path(str(found.locate_file(part))).resolve())
    return folder / "bin" / "python"


def _with_requirements(names: tuple[str, ...]) -> list[Distribution]:
    """Return distributions and, recursively, those that they require."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found[name] = distribution(name)
            wanted = map(Requirement, found[name].requires or ())
            waiting += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return list(found.values())
