"""Pipeline files: found, read, put on what they extend, overridden by ``--set``, checked in shape."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from wsss.errors import InvalidInput, closest, listing
from wsss.io.files.stage_files import RUN, RUNS
from wsss.pipeline.config import resources
from wsss.pipeline.config.interpolate import interpolate, references
from wsss.pipeline.config.matrix import Axes, choose_values, is_choice, read_axes
from wsss.pipeline.config.source import Source, TagAt, merge, parse_yaml, read_yaml, shown_path
from wsss.pipeline.stage import Stage
from wsss.pipeline.store.run_folder import LOG
from wsss.validation import KeyPath, discriminator_at, keys_of, validate

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


class _StageEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    uses: str
    needs: list[str] = []
    with_: dict[str, Any] = Field(default={}, alias="with")
    seed: int | str | None = None
    enabled: bool | str = True

    @field_validator("needs", "with_", mode="before")
    @classmethod
    def _empty(cls, value: Any, info: Any) -> Any:
        return ([] if info.field_name == "needs" else {}) if value is None else value


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    description: str = ""
    extends: str | None = None
    seed: int | str = 0
    data: dict[str, Any] = {}
    matrix: dict[str, Any] = {}
    stages: dict[str, _StageEntry]

    @field_validator("description", "data", "matrix", "stages", mode="before")
    @classmethod
    def _empty(cls, value: Any, info: Any) -> Any:
        return ("" if info.field_name == "description" else {}) if value is None else value


ENTRY_KEYS = frozenset(keys_of(_StageEntry)) - {"with"}
TOP_KEYS = frozenset(keys_of(_File))
IN_FOLDER = "pipeline.yaml"
"""Pipeline file of a folder that `wsss init` wrote."""
_FILES = frozenset({RUN, LOG})


@dataclass(frozen=True)
class Entry:
    """One stage as the file has it, its expressions not yet replaced."""

    id: str
    uses: str
    needs: tuple[str, ...]
    source: Source

    def part(self, key: str, default: Any = None) -> Source:
        """Return ``with``, ``seed`` or ``enabled`` as written."""
        if self.source.value.get(key) is None:
            return Source(default, {(): self.source.locate(())})
        return self.source.at((key,))

    def error(self, message: str, path: KeyPath = ()) -> InvalidInput:
        """Return an error that names file, line and key path of this entry."""
        key = ".".join(map(str, ("stages", self.id, *path)))
        return InvalidInput(": ".join(part for part in (self.source.locate(path), key, message) if part))


@dataclass(frozen=True)
class Spec:
    """A checked pipeline file.

    Args:
        name: of the pipeline; the run directory is called after it.
        description: one line.
        seed: of every stage that has none of its own.
        data: the dataset's config, expressions replaced; opaque to the engine.
        data_source: the same with places.
        axes: the matrix.
        entries: stage id → entry, in the order of the file.
        resolved: the whole file after ``extends`` and ``--set``, for ``run.json``.
    """

    name: str
    description: str
    seed: int
    data: Mapping[str, Any]
    data_source: Source
    axes: Axes
    entries: Mapping[str, Entry]
    resolved: Mapping[str, Any]


def load_spec(
    pipeline: str, registry: Mapping[str, Stage[Any]], sets: Sequence[str] = (), *, precision: str | None = None
) -> Spec:
    """Read a pipeline by name or path.

    Args:
        pipeline: name of a shipped pipeline, or a path.
        registry: stage name → stage; ``--set`` looks up the keys of configs in it.
        sets: ``key.path=value`` texts.
        precision: for every stage whose config has a ``precision``.

    Raises:
        InvalidInput: anything about the file's shape is wrong; one line per problem.
    """
    path = find_pipeline(pipeline)
    source = _read(path, (), registry)
    over = Source({})  # all --set together, so that their order doesn't matter where one changes a tag
    choices: list[Source] = []  # of values that others of them may change, so these come last
    for text in sets:
        part = parse_set(text, merge(source, over), registry)
        if is_choice(part):
            choices.append(part)
        else:
            over = merge(over, part)
    for part in (over, *choices):
        source = _laid_on(source, part, registry)
    if precision is not None:
        source = _with_precision(source, registry, precision)
    return spec_from(source)


def spec_from(source: Source) -> Spec:
    """Check the shape of a pipeline that was read (or built in a test) and replace what doesn't depend on a stage."""
    file = validate(_File, source.value, where="", locate=source.locate)
    problems: list[str] = []

    def found(path: KeyPath, message: str) -> None:
        problems.append(": ".join(part for part in (source.locate(path), ".".join(map(str, path)), message) if part))

    if not NAME.match(file.name):
        found(("name",), f"found {file.name!r}; a name has letters, digits, '.', '_' and '-' and names a folder.")
    if not file.stages:
        found(("stages",), "there are no stages.")
    for stage in file.stages:
        if not NAME.match(stage):
            found(("stages", stage), f"found {stage!r}; a stage's id has letters, digits, '.', '_' and '-' only.")
        elif stage in TOP_KEYS | _FILES:
            taken = "a key of pipeline files" if stage in TOP_KEYS else "a file of every run"
            found(("stages", stage), f"{stage!r} is {taken}; call the stage something else.")
    for key in ("data", "seed"):
        if references(source.value.get(key), "matrix"):
            found((key,), "${{ matrix.… }} can be used inside stages only.")
    if problems:
        raise InvalidInput("\n".join(problems))

    seed = _seed(interpolate(_part(source, "seed", 0), {"env": os.environ}, "seed"), "seed")
    data = _part(source, "data", {})
    data = interpolate(data, {"env": os.environ, "seed": seed}, "data")
    entries = {
        name: Entry(name, entry.uses, tuple(entry.needs), source.at(("stages", name)))
        for name, entry in file.stages.items()
    }
    axes = read_axes(_part(source, "matrix", {}))
    return Spec(file.name, file.description, seed, data.value, data, axes, entries, source.value)


def find_pipeline(pipeline: str) -> Path:
    """Return the file of a pipeline given by name or path; of a folder that `wsss init` wrote, its ``pipeline.yaml``.

    Raises:
        InvalidInput: there is none; lists the shipped ones.
    """
    path = Path(pipeline)
    for file in (path, path / IN_FOLDER):
        if file.is_file():
            return file
    folder = resources.shipped("pipelines")
    known = [*resources.names(folder), *pipelines_here()]
    if resources.is_yaml(path) or len(path.parts) > 1:
        beside = pipelines_here(path.parent)
        raise InvalidInput(f"{pipeline}: no such pipeline file{closest(pipeline, [*known, *beside]) or '.'}")
    found = resources.find(pipeline, [folder]) if NAME.match(pipeline) else None
    if found is None:
        shipped = resources.names(folder)
        raise InvalidInput(
            f"No pipeline {pipeline!r}; shipped are {listing(shipped, limit=40) or 'none'}{closest(pipeline, known)}",
            hint=_where_pipelines_are(pipeline),
        )
    return found


def pipelines_here(folder: Path = Path()) -> list[str]:
    """Return how `wsss run` is called on the pipelines in a folder: YAML files with stages, and what `wsss init` wrote.

    Args:
        folder: the working directory by default; its folder ``pipelines`` is looked through, too.
    """
    if not folder.is_dir():
        return []
    inside = [path.parent for path in sorted(folder.glob(f"*/{IN_FOLDER}"))]
    files = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("pipelines/*.yaml"))]
    return [str(path) for path in (*inside, *filter(_has_stages, files))]


def _has_stages(path: Path) -> bool:
    try:
        source = read_yaml(path)
    except InvalidInput:  # another program's file may be anything
        return False
    return bool(source.value.keys() & {"stages", "extends"})


def _where_pipelines_are(name: str) -> str:
    """Return the hint for a name that is no pipeline: a run of this name, and the pipelines in this folder."""
    run = RUNS / name
    resumed = f"{run} is a run: wsss status {name}. " if (run / RUN).is_file() else ""
    if Path(name).is_dir() and not resumed:
        resumed = f"{name} is a folder without {IN_FOLDER}; of images, wsss init --images {name} makes one. "
    found = pipelines_here()
    here = f"Pipelines in this folder: {listing(found, limit=12)}. " if found else ""
    return f"{resumed}{here}A pipeline of your own is given by its path: wsss run ./my.yaml"


def parse_set(text: str, source: Source, registry: Mapping[str, Stage[Any]]) -> Source:
    """Return what one ``--set key.path=value`` lays on the pipeline ``source``.

    The first word is a key of pipeline files, or a stage's id: then the path goes into the stage's ``with``, except
    for ``enabled``, ``needs``, ``uses`` and ``seed`` where the stage's config has no such key.

    Raises:
        InvalidInput: no ``=``, a value that is not YAML, or an unknown first word.
    """
    place = f"--set {text}"
    key, equals, value = text.partition("=")
    words = key.strip().split(".")
    if not equals or not all(words):
        raise InvalidInput(f"{place}: expected key.path=value, for example crf.iterations=5.")
    parsed = parse_yaml(value, place, lines=False)
    if words[0] in TOP_KEYS - {"extends"}:
        return parsed.under(tuple(words))
    stages = source.value.get("stages")
    stages = stages if isinstance(stages, Mapping) else {}
    if words[0] not in stages:
        stage = next((s for s in sorted(stages, key=len, reverse=True) if key.startswith(f"{s}.")), None)
        if stage is None:  # an id may itself hold a dot
            raise InvalidInput(
                f"{place}: unknown first word {words[0]!r}; allowed are the stages {listing(stages, limit=40)} and "
                f"{listing(sorted(TOP_KEYS - {'extends'}), limit=40)}{_meant(key.strip(), value, stages, registry)}"
            )
        words = [stage, *key.removeprefix(f"{stage}.").split(".")]
    if len(words) == 1:
        raise InvalidInput(f"{place}: {words[0]!r} is a stage; name a key of its config: {words[0]}.KEY=VALUE.")
    entry = stages[words[0]]
    uses = entry.get("uses") if isinstance(entry, Mapping) else None
    fields = keys_of(registry[uses].config) if isinstance(uses, str) and uses in registry else []
    if len(words) == 2 and words[1] in ENTRY_KEYS and words[1] not in fields:
        return parsed.under(("stages", *words))
    return parsed.under(("stages", words[0], "with", *words[1:]))


def _meant(key: str, value: str, stages: Mapping[str, Any], registry: Mapping[str, Stage[Any]]) -> str:
    """Return the suggestion for a ``--set`` without a stage: the stages that have the key, else the closest word."""
    word = key.partition(".")[0]
    uses = {id: entry.get("uses") for id, entry in stages.items() if isinstance(entry, Mapping)}
    known = {id: registry[use] for id, use in uses.items() if isinstance(use, str) and use in registry}
    having = [id for id, stage in known.items() if word in keys_of(stage.config)]
    if having:
        return f"; did you mean {' or '.join(f'--set {id}.{key}={value}' for id in having)}?"
    return closest(word, [*stages, *sorted(TOP_KEYS - {"extends"})])


def _with_precision(source: Source, registry: Mapping[str, Stage[Any]], precision: str) -> Source:
    stages = source.value.get("stages")
    having = [
        id
        for id, entry in (stages.items() if isinstance(stages, Mapping) else ())
        if isinstance(entry, Mapping) and entry.get("uses") in registry
        if "precision" in keys_of(registry[entry["uses"]].config)
    ]
    place = f"--precision {precision}"
    if not having:
        raise InvalidInput(f"{place}: no stage of this pipeline has a precision.")
    for id in having:
        key = ("stages", id, "with", "precision")
        source = merge(source, Source(precision, {(): place}).under(key))
    return source


def as_seed(source: Source, where: str) -> int:
    """Return a seed after interpolation.

    Raises:
        InvalidInput: not a whole number of 0 or more.
    """
    return _seed(source, where)


def _seed(source: Source, where: str) -> int:
    value = source.value
    if isinstance(value, str) and value.strip().isdigit():  # from the environment
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or value >= 2**32:
        place = ": ".join(part for part in (source.locate(()), where) if part)
        raise InvalidInput(f"{place}: found {value!r}; a seed is a whole number from 0 to {2**32 - 1}.")
    return value


def _part(source: Source, key: str, default: Any) -> Source:
    return source.at((key,)) if source.value.get(key) is not None else Source(default)


def _read(path: Path, inside: tuple[Path, ...], registry: Mapping[str, Stage[Any]]) -> Source:
    """Read a file and lay it on what it extends; a file without a name is called after itself, not after its base."""
    if path.resolve() in inside:
        raise InvalidInput(f"{shown_path(path)}: extends itself ({' → '.join(p.name for p in (*inside, path))}).")
    source = read_yaml(path)
    if "name" not in source.value:
        source = Source({"name": path.stem, **source.value}, source.places)
    base = source.value.get("extends")
    if base is None:
        return source
    if not isinstance(base, str):
        raise InvalidInput(f"{source.locate(('extends',))}: extends: found {base!r}; expected a name or a path.")
    try:
        found = path.parent / base if resources.is_yaml(base) else find_pipeline(base)
        if not found.is_file():
            raise InvalidInput(f"no such file {base!r} (relative to {shown_path(path.parent)}).")
    except InvalidInput as error:
        raise InvalidInput(f"{source.locate(('extends',))}: extends: {error.message}") from error
    under = _read(found, (*inside, path.resolve()), registry)
    return _laid_on(under, source, registry).without("extends")


def _laid_on(base: Source, over: Source, registry: Mapping[str, Stage[Any]]) -> Source:
    """Merge one pipeline with what is laid on it."""
    base, over = choose_values(base, over)
    return merge(base, over, _tags(base, over, registry))


def _tags(base: Source, over: Source, registry: Mapping[str, Stage[Any]]) -> TagAt:
    """Return which key tells what ``data``, or a mapping in a stage's ``with``, is, for `merge` of two pipelines."""
    stages = merge(base, over).value.get("stages")

    def tag_at(path: KeyPath) -> str | None:
        if path == ("data",):
            return "layout"
        if len(path) < 4 or path[0] != "stages" or path[2] != "with" or not isinstance(stages, Mapping):
            return None
        entry = stages.get(path[1])
        uses = entry.get("uses") if isinstance(entry, Mapping) else None
        if not isinstance(uses, str) or uses not in registry:
            return None
        return discriminator_at(registry[uses].config, path[3:])

    return tag_at
