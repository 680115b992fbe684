"""Packages with entry points: written to a folder as pip installs them, or built as a wheel for pip."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

EntryPoints = Mapping[str, Mapping[str, str]]
"""Group → name → ``"module:attribute"``."""


def write_installed(folder: Path, name: str, points: EntryPoints) -> None:
    """Write the metadata of a package without modules to ``folder``, as pip does."""
    for path, text in _metadata(name, points).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def build_wheel(folder: Path, name: str, points: EntryPoints, files: Mapping[str, str]) -> Path:
    """Write a wheel of version 1.0 to ``folder``; return its path.

    Args:
        folder: an existing folder.
        name: of the distribution.
        points: its entry points.
        files: path → content of its modules.
    """
    wheel, record = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info/RECORD"
    contents = {**files, **_metadata(name, points)}
    contents[record] = "".join(f"{path},,\n" for path in [*contents, record])
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel


def _metadata(name: str, points: EntryPoints) -> dict[str, str]:
    lines = [line for group, of in points.items() for line in (f"[{group}]", *(f"{key} = {of[key]}" for key in of))]
    return {
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-1.0.dist-info/entry_points.txt": "\n".join([*lines, ""]),
    }
