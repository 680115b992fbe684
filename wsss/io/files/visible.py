"""Hidden files and folders, and those of operating systems, which readers of a user's folder skip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "__macosx", "$recycle.bin"}
    | {"system volume information", "lost+found", "__pycache__"}
)
"""Names, in lower case, of folders that network drives and operating systems create next to a user's files."""


def visible(paths: Iterable[Path]) -> list[Path]:
    """Return paths in order, without those whose name begins with a dot.

    On file systems of other operating systems, macOS writes a hidden binary file next to every file: ``._train.txt``.
    """
    return sorted(path for path in paths if not path.name.startswith("."))


def visible_below(folder: Path, pattern: str) -> list[Path]:
    """Return the paths below a folder that match a pattern, in order, without hidden files and folders."""
    return visible_among(folder, folder.rglob(pattern))


def visible_among(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Return paths below a folder in order, without those that are hidden or in a hidden folder below it.

    Jupyter, for example, keeps copies in ``.ipynb_checkpoints``.
    """
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))
