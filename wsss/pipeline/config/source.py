"""Plain values with the location of every key, and the merging of several such documents.

A `Source` maps key paths to locations (``"crf.yaml:3"``, ``"--set crf.iterations=5"``), so that a later error can
name the line to change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.model_fields import KeyPath, subject_of
from wsss.pipeline.config.yaml_reader import read_nodes

MAX_BYTES = 1 << 22
"""Maximum size of a file."""


@dataclass(frozen=True)
class Source:
    """A plain value and the locations of its keys.

    Args:
        value: mappings, lists and scalars.
        locations: key path (from the root of ``value``) → ``"file:line"``. The root itself is ``()``.
    """

    value: Any
    locations: Mapping[KeyPath, str] = field(default_factory=dict)

    def locate(self, path: KeyPath) -> str:
        """Return the location of a key, or of its nearest parent that has one (``""`` if none has).

        A parent has one, too, if only keys inside it do (``--set method.steps=5``): the first of theirs.
        """
        for length in range(len(path), 0, -1):
            start = path[:length]
            inside = (location for key, location in self.locations.items() if key[:length] == start)
            if found := self.locations.get(start) or next(filter(None, inside), ""):
                return found
        return self.locations.get((), "")

    def _own(self, path: KeyPath) -> str:
        """Return the location of a key, or of its nearest parent, without those of keys inside them."""
        locations = (self.locations.get(path[:length]) for length in range(len(path), -1, -1))
        return next(filter(None, locations), "")

    def subject(self, path: KeyPath = (), where: str = "") -> str:
        """Return location and full key path of a key (``crf.yaml:3: stages.crf.with.iterations``), for errors about it.

        Args:
            path: key path from the root of ``value``.
            where: key path of ``value`` itself.
        """
        return subject_of(path, where, self.locate(path))

    def at(self, path: KeyPath) -> Source:
        """Return the part below ``path``, with locations relative to it."""
        value = self.value
        for part in path:
            value = value[part]
        size = len(path)
        locations = {key[size:]: location for key, location in self.locations.items() if key[:size] == path}
        locations.setdefault((), self._own(path))  # an option for one key inside is not the place of the others
        return Source(value, locations)

    def get(self, key: str, default: Any) -> Source:
        """Return the part at a key of this mapping, or the default at the location of the mapping."""
        return self.at((key,)) if self.value.get(key) is not None else Source(default, {(): self.locate(())})

    def under(self, path: KeyPath) -> Source:
        """Return this source moved below ``path``: ``{path: value}``."""
        value = self.value
        for part in reversed(path):
            value = {part: value}
        return Source(value, {(*path, *key): location for key, location in self.locations.items()})

    def without(self, key: str) -> Source:
        """Return this mapping without one key."""
        value = {name: inner for name, inner in self.value.items() if name != key}
        return Source(value, {path: location for path, location in self.locations.items() if path[:1] != (key,)})

    def with_value(self, value: Any) -> Source:
        """Return another value with the same locations."""
        return Source(value, self.locations)


TagAt = Callable[[KeyPath], str | None]
"""Key path → the key that identifies the type of the mapping there (``name`` of a loss), or ``None``."""


def merge(base: Source, override: Source, tag_at: TagAt = lambda path: None) -> Source:
    """Merge two mappings key by key; all other values, lists included, are replaced.

    A mapping with another tag is replaced as a whole: the settings of one loss do not apply to another. A tag alone
    (``method: advcam``) can be merged with settings (``method: {steps: 5}``).

    Args:
        base, override: mappings.
        tag_at: see `TagAt`; by default mappings have no tags.
    """
    replaced: list[KeyPath] = []
    value = _merge(base.value, override.value, (), replaced, tag_at)
    kept = {
        path: location
        for path, location in base.locations.items()
        if not any(path[: len(prefix)] == prefix for prefix in replaced)
    }
    return Source(value, {**kept, **override.locations})


def _merge(base: Any, override: Any, path: KeyPath, replaced: list[KeyPath], tag_at: TagAt) -> Any:
    base, override = _with_tag(base, override, path, tag_at)
    if isinstance(base, Mapping) and isinstance(override, Mapping):
        tag = tag_at(path)
        if tag is None or tag not in base or tag not in override or base[tag] == override[tag]:
            merged = dict(base)
            for key, value in override.items():
                merged[key] = _merge(base[key], value, (*path, key), replaced, tag_at) if key in base else value
            return merged
    replaced.append(path)
    return override


def _with_tag(base: Any, override: Any, path: KeyPath, tag_at: TagAt) -> tuple[Any, Any]:
    """Return both values; a tag alone becomes a mapping if the other value is one without a tag."""
    mapping, name = (base, override) if isinstance(base, Mapping) else (override, base)
    if not isinstance(mapping, Mapping) or not isinstance(name, str) or "${{" in name:  # an expression may be a mapping
        return base, override
    tag = tag_at(path)
    if tag is None or tag in mapping:
        return base, override
    return (base, {tag: name}) if mapping is base else ({tag: name}, override)


def read_yaml(path: Path) -> Source:
    """Read a YAML file that holds a mapping (an empty file is an empty mapping).

    Raises:
        InvalidInput: missing, unreadable, too large, invalid YAML, a duplicate key, or not a mapping.
    """
    try:
        with path.open("rb") as file:  # may be a pipe: wsss run <(command)
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except FileNotFoundError as error:
        raise InvalidInput("no such file", subject=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot be read as text ({error})", subject=path) from error
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"more than {MAX_BYTES >> 20} MiB; expected a configuration file", subject=path)
    source = _parsed(text, shown_path(path))
    if source.value is None:
        return Source({}, source.locations)
    if not isinstance(source.value, dict):
        allowed = "a mapping (key: value)"
        raise InvalidInput(subject=f"{shown_path(path)}:1", found=source.value, allowed=allowed)
    return source


@lru_cache(maxsize=64)
def _parsed(text: str, name: str) -> Source:
    """Parse a text once: a matrix reads the presets of a stage for every instance, and sources are immutable."""
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str, *, lines: bool = True, as_text: bool = False) -> Source:
    """Parse YAML text.

    Args:
        name: name of the file in locations and messages.
        lines: locations and messages have line numbers.
        as_text: all scalars are strings, such as ``001`` and ``null``.

    Raises:
        InvalidInput: invalid YAML, several documents, a duplicate key, or an unsupported tag.
    """
    return Source(*read_nodes(text, name, lines=lines, as_text=as_text))


def shown_path(path: Path) -> str:
    """Return a path relative to the working directory if it lies below it, otherwise unchanged."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)
