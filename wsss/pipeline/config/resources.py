"""Folders of the shipped presets and pipelines: inside the installed package, or next to it in a checkout."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".yaml", ".yml")


def shipped(kind: str) -> Path:
    """Return the folder of the shipped ``"configs"`` or ``"pipelines"`` (which may not exist)."""
    package = Path(__file__).parents[2]
    installed = package / kind
    return installed if installed.is_dir() else package.parent / kind


def names(folder: Path) -> list[str]:
    """Return the names of the YAML files below ``folder``, without suffix (``crf/irn``), sorted."""
    files = folder.rglob("*") if folder.is_dir() else ()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in files if is_yaml(path))


def is_yaml(path: str | Path) -> bool:
    """Return whether a path has the suffix of a YAML file."""
    return Path(path).suffix in SUFFIXES


def find(name: str, folders: list[Path]) -> Path | None:
    """Return the file of a name in the first of ``folders`` that has it."""
    paths = (folder / f"{name}{suffix}" for folder in folders for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
