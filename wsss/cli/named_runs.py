"""Runs and stages identified by path, or by name below ``runs/``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from wsss.errors import InvalidInput, closest, listing
from wsss.io.files.stage_files import RECORD, RUN, RUNS

NAMED = click.Path(path_type=str)
"""Parameter type of runs: a string, since ``./NAME`` is always a path and ``NAME`` may be a name."""

Fits = Callable[[Path], bool]


def is_run(path: Path) -> bool:
    """Return whether a path is a run directory."""
    return (path / RUN).is_file()


def is_stage(path: Path) -> bool:
    """Return whether a path is a stage's folder."""
    return (path / RECORD).is_file()


def is_recorded(path: Path) -> bool:
    """Return whether a path is a run directory or a stage's folder."""
    return is_run(path) or is_stage(path)


def named_run(
    name: str,
    *,
    fits: Fits = is_recorded,
    otherwise: Fits = lambda path: False,
    expected: str = "a run directory or a stage's folder",
    option: str = "",
) -> Path:
    """Return the folder of a run.

    The path is used if it fits, then the same path below ``runs/``. So ``photos`` is the run ``runs/photos`` even if a
    folder ``photos`` of images exists.

    Args:
        fits: whether a folder is of the expected kind.
        otherwise: fallback if no folder fits; the reader of the folder reports the problem.
        expected: the expected kind, for messages.
        option: the option, for messages; empty for an argument.

    Raises:
        InvalidInput: no folder fits, or both the path and the run below ``runs/`` do.
    """
    candidates = _candidates(name)
    fitting = [path for path in candidates if fits(path)] or [path for path in candidates if otherwise(path)]
    subject = f"{option} {name}".strip()
    if not fitting:
        hint = _pipeline_hint(name) or _runs_hint(name, fits)
        raise InvalidInput(_problem(name, expected), subject=subject, hint=hint)
    return _only(fitting, subject)


def named_input(name: str, *, option: str, log: Callable[[str], None]) -> Path:
    """Return the folder of a stage's input.

    Any folder is valid, with or without ``stage.json``; a path that does not exist is looked up below ``runs/``.

    Args:
        option: the option, for messages.
        log: prints one line if a run has the same name as the folder.

    Raises:
        InvalidInput: both the path and the stage below ``runs/`` exist.
    """
    here, *below = _candidates(name)
    existing = [here] if here.exists() and not is_run(here) else []
    existing += [path for path in below if is_stage(path)]
    if existing == [here] and any(is_run(path) for path in below):
        log(f"note: {option} {name} is the folder {here}; for a stage of the run {below[0]}, use {below[0]}/STAGE.")
    if not existing:  # `artifact_at` reports the problem
        return next((path for path in (here, *below) if path.exists()), here)
    return _only(existing, f"{option} {name}")


def _candidates(name: str) -> tuple[Path, ...]:
    """Return the path itself and, unless it is absolute or begins with a dot, the path below ``runs/``."""
    here = Path(name)
    if here.is_absolute() or name.startswith((".", "~")) or here.parts[:1] == RUNS.parts:
        return (here,)
    return here, RUNS / here


def _only(folders: Sequence[Path], subject: str) -> Path:
    if len({path.resolve() for path in folders}) > 1:
        hint = f"Write ./{folders[0]} or {folders[1]}."
        raise InvalidInput(f"ambiguous, both {folders[0]} and {folders[1]} exist", subject=subject, hint=hint)
    return folders[0]


def _problem(name: str, expected: str) -> str:
    here, *below = _candidates(name)
    if below:
        return f"neither {here} nor {below[0]} is {expected}"
    return f"not {expected}" if here.exists() else "no such folder"


def _pipeline_hint(name: str) -> str | None:
    """Return the hint for a pipeline in place of a run; ``None`` for other names."""
    from wsss.pipeline.config import resources
    from wsss.pipeline.config.pipeline_files import IN_FOLDER
    from wsss.pipeline.config.source import read_yaml

    path = Path(name)
    file = next((file for file in (path, path / IN_FOLDER) if resources.is_yaml(file) and file.is_file()), None)
    if file is None:
        return None
    run = str(read_yaml(file).value.get("name", file.stem))
    if is_run(RUNS / run):
        return f"{file} is a pipeline; for its run {RUNS / run}, use {run}."
    return f"{file} is a pipeline that has not been run here: wsss run {name}"


def _runs_hint(name: str, fits: Fits) -> str:
    """Return the hint for an unknown run: the runs below ``runs/`` and the closest one, or the pipelines."""
    from wsss.pipeline.config.pipeline_files import pipelines_here

    known = sorted(path.name for path in RUNS.iterdir() if fits(path)) if RUNS.is_dir() else []
    if known:
        suggestion = closest(Path(name).name, known).replace("; did", " Did")
        return f"Runs under {RUNS}/: {listing(known, limit=12)}.{suggestion}"
    pipelines = pipelines_here()
    suggestion = f" Pipelines to run: {listing(pipelines, limit=12)}." if pipelines else ""
    return f"There are no runs under {RUNS}/ in this folder. Use the path printed by `wsss run`.{suggestion}"
