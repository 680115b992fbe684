"""Where the shipped presets and pipelines are: inside the installed package, or beside it in a checkout."""

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
    if not folder.is_dir():
        return []
    found = (path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*") if is_yaml(path))
    return sorted(found)


def is_yaml(path: str | Path) -> bool:
    """Tell whether a path ends like a YAML file."""
    return Path(path).suffix in SUFFIXES


def find(name: str, folders: list[Path]) -> Path | None:
    """Return the file of a name in the first of ``folders`` that has it."""
    for folder in folders:
        for suffix in SUFFIXES:
            path = folder / f"{name}{suffix}"
            if path.is_file():
                return path
    return None
