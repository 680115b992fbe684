"""Finding pipeline files: shipped ones by name, others by path."""

from __future__ import annotations

import re
from pathlib import Path

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import RUN, RUNS
from wsss.pipeline.config import resources
from wsss.pipeline.config.source import read_yaml

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
"""Valid names of pipelines and stages: they become names of folders."""

NAME_RULE = "a name of letters, digits, '.', '_' and '-'"

IN_FOLDER = "pipeline.yaml"
"""Pipeline file of a folder that `wsss init` wrote."""


def find_pipeline(pipeline: str) -> Path:
    """Return the file of a pipeline.

    Args:
        pipeline: the name of a shipped pipeline, a path, or a folder with a ``pipeline.yaml``.

    Raises:
        InvalidInput: no such pipeline; lists the shipped ones.
    """
    path = Path(pipeline)
    for file in (path, path / IN_FOLDER):
        if file.is_file():
            return file
    folder = resources.shipped("pipelines")
    is_path = resources.is_yaml(path) or len(path.parts) > 1
    shipped = resources.find(pipeline, [folder]) if NAME.match(pipeline) and not is_path else None
    if shipped is None:
        known = [*resources.names(folder), *pipelines_here(), *(pipelines_here(path.parent) if is_path else ())]
        hint = None if is_path else _hint(pipeline)
        raise InvalidInput("no such pipeline", found=pipeline, allowed=dict.fromkeys(known), hint=hint)
    return shipped


def shipped_pipelines() -> dict[str, str]:
    """Return name → description of the shipped pipelines."""
    folder = resources.shipped("pipelines")
    texts = {name: resources.find(name, [folder]) for name in resources.names(folder)}
    return {name: _description(path.read_text(encoding="utf-8")) for name, path in texts.items() if path is not None}


def _description(text: str) -> str:
    line = re.search(r"^description: *(.+)$", text, re.MULTILINE)
    return line[1].strip("\"'") if line else ""


def pipelines_here(folder: Path = Path()) -> list[str]:
    """Return the arguments of `wsss run` for the pipelines in a folder: YAML files with stages, output of `wsss init`.

    Args:
        folder: by default the working directory; its folder ``pipelines`` is searched too.
    """
    if not folder.is_dir():
        return []
    inside = [path.parent for path in sorted(folder.glob(f"*/{IN_FOLDER}"))]
    files = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("pipelines/*.yaml"))]
    return [str(path) for path in (*inside, *filter(_has_stages, files))]


def _has_stages(path: Path) -> bool:
    try:
        return bool(read_yaml(path).value.keys() & {"stages", "extends"})
    except InvalidInput:  # a file of another program
        return False


def _hint(name: str) -> str:
    """Return the hint for an unknown name, which may be that of a run or of a folder of images."""
    run = RUNS / name
    if (run / RUN).is_file():
        start = f"{run} is a run: wsss status {name}. "
    elif Path(name).is_dir():
        start = f"{name} is a folder without {IN_FOLDER}; to write one for its images: wsss init --images {name}. "
    else:
        start = ""
    return f"{start}Pass your own pipeline as a path: wsss run ./my.yaml"
