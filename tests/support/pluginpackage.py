"""Installed packages with entry points, as tests need them: a folder on ``sys.path``, or a wheel for pip."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _entry_points(points: Mapping[str, Mapping[str, str]]) -> str:
    sections = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in one.items())
        for group, one in points.items()
    ]
    return "\n".join(sections)


def lay_down(folder: Path, name: str, points: Mapping[str, Mapping[str, str]], files: Mapping[str, str] = {}) -> None:
    """Write a package as pip leaves it in ``folder``."""
    for path, text in _contents(name, points, files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def build_wheel(folder: Path, name: str, points: Mapping[str, Mapping[str, str]], files: Mapping[str, str]) -> Path:
    """Write a wheel that pip installs without a network."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    contents = _contents(name, points, files)
    record = "".join(f"{one},,\n" for one in [*contents, f"{name}-1.0.dist-info/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for one, text in (contents | {f"{name}-1.0.dist-info/RECORD": record}).items():
            wheel.writestr(one, text)
    return path


def _contents(name: str, points: Mapping[str, Mapping[str, str]], files: Mapping[str, str]) -> dict[str, str]:
    info = f"{name}-1.0.dist-info"
    return {
        **files,
        f"{info}/METADATA": METADATA.format(name=name, version="1.0"),
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": _entry_points(points),
    }
