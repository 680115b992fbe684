"""The classes of a run whose dataset is missing, read from a network that it trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.data.sample import Classes
from wsss.errors import InvalidInput
from wsss.io.weights import DESCRIPTION, load_description


def classes_of_run(run_dir: Path, run: Mapping[str, Any]) -> tuple[Classes, Path] | None:
    """Return the classes of a run and the file they were read from; ``None`` if the run has no trained network.

    Args:
        run_dir: the run directory.
        run: its record.

    Raises:
        InvalidInput: the file is broken.
    """
    for stage in reversed(run.get("stages", [])):
        path = run_dir / stage["id"] / DESCRIPTION
        if path.is_file():
            try:
                return Classes.from_json(load_description(path.parent).get("classes") or {}), path
            except ValueError as error:
                raise InvalidInput(f"classes.{error}", subject=path) from error
    return None
