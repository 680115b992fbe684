"""YAML that remembers where each key stands, and the merging of several such documents.

A `Source` is a plain value plus a map from key path to place (``"crf.yaml:3"``, ``"--set crf.iterations=5"``), so
that an error found long after reading can still name the line to change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from wsss.errors import InvalidInput
from wsss.validation import KeyPath

MAX_NODES = 200_000
"""A document with more nodes (aliases unrolled) is refused."""

MAX_DEPTH = 64
"""So is one with more mappings and lists inside of each other."""

MAX_BYTES = 1 << 22
"""And a larger file."""

MAX_INT = 1 << 63
"""And a larger integer: Python would print it at a cost that grows with the square of its digits."""


@dataclass(frozen=True)
class Source:
    """A plain value and the places of its keys.

    Args:
        value: mappings, lists and scalars.
        places: key path (from the root of ``value``) → ``"file:line"``. The root itself is ``()``.
    """

    value: Any
    places: Mapping[KeyPath, str] = field(default_factory=dict)

    def locate(self, path: KeyPath) -> str:
        """Return the place of a key, or of the nearest key above it that has one (``""``: none has)."""
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place:
                return place
        return ""

    def at(self, path: KeyPath) -> Source:
        """Return the part below ``path``; its places are relative to it."""
        value = self.value
        for part in path:
            value = value[part]
        size = len(path)
        places = {key[size:]: place for key, place in self.places.items() if key[:size] == path}
        places.setdefault((), self.locate(path))
        return Source(value, places)

    def under(self, path: KeyPath) -> Source:
        """Return this source moved below ``path``: ``{path: value}``."""
        value = self.value
        for part in reversed(path):
            value = {part: value}
        return Source(value, {(*path, *key): place for key, place in self.places.items()})

    def without(self, key: str) -> Source:
        """Return this mapping without one key."""
        value = {name: inner for name, inner in self.value.items() if name != key}
        return Source(value, {path: place for path, place in self.places.items() if path[:1] != (key,)})


TagAt = Callable[[KeyPath], str | None]
"""Key path → the key that says what a mapping there is (``name`` of a loss), where there is one."""


def merge(base: Source, over: Source, tag_at: TagAt = lambda path: None) -> Source:
    """Lay ``over`` on ``base``: mappings are merged key by key, all else (lists too) is replaced.

    A mapping whose tag changes is replaced too: the settings of one loss mean nothing to another.

    Args:
        base, over: mappings.
        tag_at: see `TagAt`; by default mappings have no tags.
    """
    replaced: list[KeyPath] = []
    value = _merge(base.value, over.value, (), replaced, tag_at)
    kept = {path: place for path, place in base.places.items() if not any(path[: len(r)] == r for r in replaced)}
    return Source(value, {**kept, **over.places})


def _merge(base: Any, over: Any, path: KeyPath, replaced: list[KeyPath], tag_at: TagAt) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        tag = tag_at(path)
        if tag is None or tag not in base or tag not in over or base[tag] == over[tag]:
            merged = dict(base)
            for key, value in over.items():
                merged[key] = _merge(base[key], value, (*path, key), replaced, tag_at) if key in base else value
            return merged
    replaced.append(path)
    return over


def merge_all(sources: Iterable[Source], tag_at: TagAt = lambda path: None) -> Source:
    """Lay several mappings on each other, the later on the earlier; see `merge`."""
    result = Source({})
    for source in sources:
        result = merge(result, source, tag_at)
    return result


def read_yaml(path: Path) -> Source:
    """Read one YAML file that holds a mapping (an empty file is an empty mapping).

    Raises:
        InvalidInput: missing, unreadable, not YAML, a key twice, or not a mapping.
    """
    try:
        with path.open("rb") as file:  # a pipe, too: wsss run <(command)
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: can't be read as text ({error}).") from error
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"{path}: more than {MAX_BYTES >> 20} MiB; this is no configuration file.")
    source = _parsed(text, shown_path(path))
    if source.value is None:
        return Source({}, source.places)
    if not isinstance(source.value, dict):
        raise InvalidInput(f"{shown_path(path)}:1: expected a mapping (key: value), found {_kind(source.value)}.")
    return source


@lru_cache(maxsize=64)
def _parsed(text: str, name: str) -> Source:
    """Parse a text once: a matrix reads the presets of a stage for every instance, and nobody changes a `Source`."""
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str, *, lines: bool = True) -> Source:
    """Parse YAML text; ``name`` stands for the file in places and messages, with line numbers unless told otherwise.

    Raises:
        InvalidInput: not YAML, several documents, a key twice, or something that plain YAML has no tag for.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Source(None, {(): name})
            reader = _Reader(loader, name, lines)
            return Source(reader.build(node, ()), reader.places)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark and lines else name
        raise InvalidInput(f"{place}: not valid YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"{name}: not valid YAML: {error}.") from error


def shown_path(path: Path) -> str:
    """Return a path as messages show it: relative to the working directory where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)


class _Loader(yaml.SafeLoader):
    """YAML's safe types, closer to YAML 1.2 than PyYAML is.

    ``1e-4`` is a number (PyYAML wants ``1.0e-4``); only ``true`` and ``false`` are booleans (not ``on`` or ``no``);
    dates are text.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node, not too deep: PyYAML recurses, and Python would run out of stack."""
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, _TOO_DEEP, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


_TOO_DEEP = f"more than {MAX_DEPTH} mappings and lists inside of each other"
_TAG = "tag:yaml.org,2002:"

_OWN_WORDS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in _OWN_WORDS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class _Reader:
    """Turns YAML nodes into plain values, and notes the line of every key on the way."""

    def __init__(self, loader: _Loader, name: str, lines: bool) -> None:
        self.loader, self.name, self.lines = loader, name, lines
        self.places: dict[KeyPath, str] = {}
        self.open: list[yaml.Node] = []  # nodes we are inside of: an alias to one of them would never end
        self.flat: set[int] = set()  # mappings whose merge keys are replaced by what they stand for
        self.count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise InvalidInput(f"{self.name}: more than {MAX_NODES:,} values; this is no configuration file.")
        if node in self.open:
            raise InvalidInput(f"{self.place(node)}: an alias that contains itself.")
        if len(self.open) > MAX_DEPTH:
            raise InvalidInput(f"{self.place(node)}: {_TOO_DEEP}.")
        self.places.setdefault(path, self.place(node))
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                self.require_tag(node, "map")
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                self.require_tag(node, "seq")
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self.scalar(node)
        finally:
            self.open.pop()

    def require_tag(self, node: yaml.Node, tag: str) -> None:
        """Refuse tags: a set or a list of pairs is nothing that a setting can be."""
        if node.tag != _TAG + tag:
            raise InvalidInput(f"{self.place(node)}: the tag {_shown_tag(node.tag)} is not supported; leave it out.")

    def scalar(self, node: yaml.Node) -> Any:
        """Return a text, number, truth value or null.

        Raises:
            InvalidInput: a tag that doesn't fit the value or makes something else of it; a number too large; a text
                with characters that no file can hold.
        """
        try:
            value = self.loader.construct_object(node)
        except yaml.YAMLError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            shown = _shortened(str(node.value))
            raise InvalidInput(f"{self.place(node)}: {shown!r} is not valid as {_shown_tag(node.tag)}.") from error
        if not isinstance(value, str | int | float | bool | None):
            raise InvalidInput(
                f"{self.place(node)}: the tag {_shown_tag(node.tag)} is not supported; expected a text, a number, "
                "true, false or null."
            )
        if isinstance(value, int) and abs(value) >= MAX_INT:
            raise InvalidInput(f"{self.place(node)}: an integer of {value.bit_length()} bits; at most 63 are allowed.")
        if isinstance(value, str) and _UNWRITABLE.search(value):
            raise InvalidInput(f"{self.place(node)}: {_shortened(value)!r} has a NUL or half a surrogate pair.")
        return value

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[Any, Any]:
        if id(node) not in self.flat:  # an alias leads here again: by now what is merged stands beside its own keys
            self.refuse_duplicates(node)
            self.loader.flatten_mapping(node)  # YAML's merge key: <<
            self.keep_own_keys(node)
            self.flat.add(id(node))
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.scalar(key_node)
            self.places[(*path, key)] = self.place(key_node)
            result[key] = self.build(value_node, (*path, key))
        return result

    def keep_own_keys(self, node: yaml.MappingNode) -> None:
        """Drop merged keys that the mapping sets itself: a mapping that merges this one would take the first of two."""
        last = {self.scalar(key_node): (key_node, value) for key_node, value in node.value}
        node.value = list(last.values())

    def refuse_duplicates(self, node: yaml.MappingNode) -> None:
        seen: dict[Any, yaml.Node] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                raise InvalidInput(f"{self.place(key_node)}: a key has to be a word or a number.")
            if key in seen:
                first = seen[key].start_mark.line + 1
                raise InvalidInput(f"{self.place(key_node)}: duplicate key {key!r} (first in line {first}).")
            seen[key] = key_node

    def place(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.lines else self.name


_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


def _shown_tag(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else _shortened(tag)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"{value!r}"
