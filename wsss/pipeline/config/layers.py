"""The layers of a pipeline: a file merged into the one it extends, and overridden by ``--set`` and ``--precision``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, closest
from wsss.model_fields import KeyPath, discriminator_at, keys_of
from wsss.pipeline.config import resources
from wsss.pipeline.config.file_shape import ENTRY_KEYS, TOP_KEYS
from wsss.pipeline.config.matrix import is_selection, select_values
from wsss.pipeline.config.pipeline_files import find_pipeline
from wsss.pipeline.config.source import Source, TagAt, merge, parse_yaml, read_yaml, shown_path
from wsss.pipeline.stage import Registry
from wsss.validation import OptionName

_SETTABLE = sorted(TOP_KEYS - {"extends"})


def read_layers(path: Path, registry: Registry, parents: tuple[Path, ...] = ()) -> Source:
    """Read a file and merge it into the file it extends.

    A file without a name is called after itself, not after the file it extends.

    Args:
        registry: stage name → stage.
        parents: the files that extend it.

    Raises:
        InvalidInput: the file or one that it extends is missing or invalid, or a file extends itself.
    """
    if path.resolve() in parents:
        cycle = " → ".join(step.name for step in (*parents, path))
        raise InvalidInput(f"extends itself ({cycle})", subject=shown_path(path))
    source = read_yaml(path)
    if "name" not in source.value:
        source = source.with_value({"name": path.stem, **source.value})
    base = source.value.get("extends")
    if base is None:
        return source
    below = read_layers(_extended(base, path, source.subject(("extends",))), registry, (*parents, path.resolve()))
    return override(below, source, registry).without("extends")


def _extended(base: Any, path: Path, subject: str) -> Path:
    """Return the file that ``extends: base`` in ``path`` names."""
    if not isinstance(base, str):
        raise InvalidInput(subject=subject, found=base, allowed="a name or a path")
    if not resources.is_yaml(base):
        try:
            return find_pipeline(base)
        except InvalidInput as error:
            raise error.within(subject) from error
    file = path.parent / base
    if not file.is_file():
        raise InvalidInput(f"no such file {base!r} (relative to {shown_path(path.parent)})", subject=subject)
    return file


def override_all(source: Source, sets: Sequence[str], registry: Registry) -> Source:
    """Apply ``--set`` texts to a pipeline; their order does not matter unless two set the same key."""
    merged = Source({})
    selections: list[Source] = []  # last: other --set texts may change the values that these select
    for text in sets:
        part = parse_set(text, merge(source, merged), registry)
        if is_selection(part):
            selections.append(part)
        else:
            merged = merge(merged, part, _tags(source, merged, registry))
    for part in (merged, *selections):
        source = override(source, part, registry)
    return source


def override(base: Source, over: Source, registry: Registry) -> Source:
    """Merge a pipeline with what overrides it."""
    base, over = select_values(base, over)
    return merge(base, over, _tags(base, over, registry))


def parse_set(text: str, source: Source, registry: Registry) -> Source:
    """Return what one ``--set key.path=value`` changes in the pipeline ``source``.

    The first word is a key of pipeline files or a stage id; then the path goes into the stage's ``with``, except for
    ``enabled``, ``needs``, ``uses`` and ``seed`` if the stage's config has no such key.

    Raises:
        InvalidInput: no ``=``, a value that is not YAML, or an unknown first word.
    """
    subject = f"--set {text}"
    key, equals, value = text.partition("=")
    key = key.strip()
    words = key.split(".")
    if not equals or not all(words):
        raise InvalidInput(subject=subject, allowed="key.path=value, for example crf.iterations=5")
    parsed = parse_yaml(value, subject, lines=False)
    if words[0] in _SETTABLE:
        return parsed.under(tuple(words))
    uses = _uses(source)
    longest_first = sorted(uses, key=len, reverse=True)  # an id may contain dots
    stage = next((id for id in (words[0], *longest_first) if id in uses and f"{key}.".startswith(f"{id}.")), None)
    if stage is None:
        allowed = [*uses, *_SETTABLE]
        suggestion = _suggestion(key, value, uses, registry) or closest(words[0], allowed)
        known = f"the stages {', '.join(uses)}, or {', '.join(_SETTABLE)}"
        raise InvalidInput(f"unknown first key {words[0]!r}; expected {known}{suggestion}", subject=subject)
    path = key.removeprefix(stage).removeprefix(".").split(".")
    if path == [""]:
        raise InvalidInput(f"{stage!r} is a stage", subject=subject, allowed=f"a key of its config: {stage}.KEY=VALUE")
    if len(path) == 1 and path[0] in ENTRY_KEYS and path[0] not in _config_keys(uses[stage], registry):
        return parsed.under(("stages", stage, *path))
    return parsed.under(("stages", stage, "with", *path))


def set_precision(source: Source, registry: Registry, precision: str) -> Source:
    """Set the precision of every stage that has one under the option ``--precision``: of the stages that train.

    Args:
        source: a pipeline; a precision that ``--set`` gave to a single stage is kept.

    Raises:
        InvalidInput: no stage has one.
    """
    subject = f"--precision {precision}"
    stages = [id for id, uses in _uses(source).items() if _has_option("precision", uses, registry)]
    if not stages:
        raise InvalidInput("no stage of this pipeline has the setting precision", subject=subject)
    for id in stages:
        path = ("stages", id, "with", "precision")
        if id not in source.value["stages"]:
            continue  # a number, which is an error of the file
        settings = source.value["stages"][id].get("with")
        if not isinstance(settings, Mapping | None):
            continue  # also an error
        if not ("precision" in (settings or {}) and source.locate(path).startswith("--set")):
            source = merge(source, Source(precision, {(): subject}).under(path))
    return source


def _suggestion(key: str, value: str, uses: Mapping[str, str | None], registry: Registry) -> str:
    """Return a suggestion of ``--set`` with the stages that have the key."""
    word = key.partition(".")[0]
    having = [id for id, name in uses.items() if word in _config_keys(name, registry)]
    return f"; did you mean {' or '.join(f'--set {id}.{key}={value}' for id in having)}?" if having else ""


def _uses(source: Source) -> dict[str, str | None]:
    """Return stage id → kind of stage (``uses``), for a file that may still have errors."""
    stages = source.value.get("stages")
    entries = stages.items() if isinstance(stages, Mapping) else ()
    names = {str(id): entry.get("uses") if isinstance(entry, Mapping) else None for id, entry in entries}
    return {id: name if isinstance(name, str) else None for id, name in names.items()}


def _has_option(key: str, uses: str | None, registry: Registry) -> bool:
    """Return whether a stage has a key, and no other name for its option."""
    if key not in _config_keys(uses, registry):
        return False
    field = registry[str(uses)].config.model_fields[key]
    return not any(isinstance(mark, OptionName) for mark in field.metadata)


def _config_keys(uses: str | None, registry: Registry) -> list[str]:
    return keys_of(registry[uses].config) if uses is not None and uses in registry else []


def _tags(base: Source, over: Source, registry: Registry) -> TagAt:
    """Return the keys that identify the type of ``data`` and of mappings in ``with``, for `merge`."""
    uses = _uses(merge(base, over))

    def tag_at(path: KeyPath) -> str | None:
        if path == ("data",):
            return "layout"
        if len(path) < 4 or path[0] != "stages" or path[2] != "with":
            return None
        name = uses.get(str(path[1]))
        return discriminator_at(registry[name].config, path[3:]) if name is not None and name in registry else None

    return tag_at
