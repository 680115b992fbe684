"""The classes of a run whose dataset is gone: every network that it trained has them with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.data.sample import Classes
from wsss.errors import InvalidInput
from wsss.io.weights import DESCRIPTION, load_description


def classes_of_run(run_dir: Path, run: Mapping[str, Any]) -> tuple[Classes, Path] | None:
    """Return the classes, and the file they are from; ``None`` where the run has trained no network.

    Args:
        run_dir, run: the run directory and its record.

    Raises:
        InvalidInput: the file is broken.
    """
    for stage in reversed(run.get("stages", [])):
        path = run_dir / stage["id"] / DESCRIPTION
        if path.is_file():
            try:
                return Classes.from_json(load_description(path.parent).get("classes") or {}), path
            except ValueError as error:
                raise InvalidInput(f"{path}: classes.{error}") from error
    return None
