"""Runs and stages that the user names by a path, or by a name below ``runs/``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from wsss.errors import InvalidInput, closest, listing
from wsss.io.files.stage_files import RECORD, RUN, RUNS

NAMED = click.Path(path_type=str)
"""Type of what names a run: a text, because ``./NAME`` means the path alone and ``NAME`` either."""

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
    wanted: str = "a run directory or a stage's folder",
    option: str = "",
) -> Path:
    """Return the folder that a name stands for.

    A path that fits is taken; other names are looked up below ``runs/``. So ``photos`` is the run ``runs/photos`` even
    where a folder ``photos`` of images lies beside ``runs``.

    Args:
        name: as the user wrote it.
        fits: whether a folder is of the kind that is wanted.
        otherwise: whether a folder is close enough where none fits: whoever reads it reports what is wrong with it.
        wanted: that kind, for messages.
        option: the option that named it, for messages; none for an argument.

    Raises:
        InvalidInput: nothing of this name fits, or both the path and the run below ``runs/`` do.
    """
    candidates = _candidates(name)
    found = [path for path in candidates if fits(path)] or [path for path in candidates if otherwise(path)]
    shown = f"{option} {name}".strip()
    if not found:
        raise InvalidInput(f"{shown}: {_why_not(name, wanted)}", hint=_of_pipeline(name) or _known(name, fits))
    return _only(found, shown)


def named_input(name: str, *, option: str, log: Callable[[str], None]) -> Path:
    """Return the folder that a name stands for as the input of a stage.

    Any folder may be one, with or without ``stage.json``; what is no path here is looked up below ``runs/``.

    Args:
        name: as the user wrote it.
        option: the option that named it, for messages.
        log: prints one line where a run has the same name as the folder.

    Raises:
        InvalidInput: both the path and the stage below ``runs/`` exist.
    """
    here, *below = _candidates(name)
    found = [here] if here.exists() and not is_run(here) else []
    found += [path for path in below if is_stage(path)]
    if found == [here] and any(is_run(path) for path in below):
        log(f"note: {option} {name} is the folder {here}; stages of the run {below[0]} are named {below[0]}/STAGE.")
    if not found:  # `artifact_at` reports what is wrong with it
        return next((path for path in (here, *below) if path.exists()), here)
    return _only(found, f"{option} {name}")


def _candidates(name: str) -> tuple[Path, ...]:
    """Return what a name may stand for: the path itself, and (unless it starts with a dot) the path below ``runs/``."""
    here = Path(name)
    if here.is_absolute() or name.startswith((".", "~")) or here.parts[:1] == RUNS.parts:
        return (here,)
    return here, RUNS / here


def _only(found: Sequence[Path], shown: str) -> Path:
    """Return the single candidate, or refuse to choose."""
    if len({path.resolve() for path in found}) > 1:
        raise InvalidInput(
            f"{shown}: ambiguous, both {found[0]} and {found[1]} exist.", hint=f"Write ./{found[0]} or {found[1]}."
        )
    return found[0]


def _why_not(name: str, wanted: str) -> str:
    here, *below = _candidates(name)
    if not below:
        return f"not {wanted}." if here.exists() else "no such folder."
    return f"neither {here} nor {below[0]} is {wanted}."


def _of_pipeline(name: str) -> str | None:
    """Return the hint for a pipeline in place of a run: its run, if there is one; ``None`` for other names."""
    from wsss.pipeline.config import resources
    from wsss.pipeline.config.source import read_yaml
    from wsss.pipeline.config.spec import IN_FOLDER

    path = Path(name)
    file = next((one for one in (path, path / IN_FOLDER) if resources.is_yaml(one) and one.is_file()), None)
    if file is None:
        return None
    called = read_yaml(file).value.get("name", file.stem)
    if is_run(RUNS / str(called)):
        return f"{file} is a pipeline; its run is {RUNS / str(called)}: give {called}."
    return f"{file} is a pipeline that has not been run here: wsss run {name}"


def _known(name: str, fits: Fits) -> str:
    """Return a hint: which folders below ``runs/`` fit, and the one whose name is closest."""
    from wsss.pipeline.config.spec import pipelines_here

    known = sorted(path.name for path in RUNS.iterdir() if fits(path)) if RUNS.is_dir() else []
    if not known:
        here = pipelines_here()
        found = f" Pipelines that can be run: {listing(here, limit=12)}." if here else ""
        return f"There is no run below {RUNS}/ in this folder. Give the path that `wsss run` printed.{found}"
    near = closest(Path(name).name, known).removeprefix("; ")
    return f"Runs below {RUNS}/: {listing(known, limit=12)}." + (f" {near[:1].upper()}{near[1:]}" if near else "")
