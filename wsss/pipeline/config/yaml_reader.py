"""YAML text as plain values, with the line of every key; limits on size and depth keep hostile files cheap."""

from __future__ import annotations

import re
from typing import Any

import yaml

from wsss.errors import InvalidInput
from wsss.model_fields import KeyPath

MAX_NODES = 200_000
"""Maximum number of nodes of a document, aliases expanded."""

MAX_DEPTH = 64
"""Maximum depth of nested mappings and lists."""

MAX_INT = 1 << 63
"""Integers from here on are refused: the time to print one grows with the square of its digits."""

_TAG = "tag:yaml.org,2002:"
_TOO_DEEP = f"mappings and lists nested more than {MAX_DEPTH} deep"
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


def read_nodes(text: str, name: str, *, lines: bool, as_text: bool = False) -> tuple[Any, dict[KeyPath, str]]:
    """Return the value of YAML text, and key path → location.

    Args:
        name: name of the file in locations and messages.
        lines: locations and messages have line numbers.
        as_text: all scalars are strings.

    Raises:
        InvalidInput: not YAML, several documents, a duplicate key, an unsupported tag, or too large.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {(): name}
            reader = _Reader(loader, name, lines, as_text)
            return reader.build(node, ()), reader.locations
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = f"{name}:{mark.line + 1}" if mark and lines else name
        raise InvalidInput(f"invalid YAML: {error.problem or error.context}", subject=location) from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"invalid YAML: {error}", subject=name) from error


_REPLACED = frozenset(f"{_TAG}{name}" for name in ("timestamp", "bool", "int", "float"))
"""Tags whose forms in PyYAML are not used."""

_DIGITS = list("-+0123456789")
_INT = re.compile(r"^[-+]?(0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)$")
_FLOAT = re.compile(
    r"^[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.(inf|Inf|INF))$|^\.(nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """YAML's safe types, closer to YAML 1.2 than PyYAML.

    ``1e-4`` is a number (PyYAML requires ``1.0e-4``); only ``true`` and ``false`` are booleans (not ``on`` or ``no``);
    dates, times (``1:30``, which PyYAML reads as 90) and integers with leading zeros (``010``, which it reads as 8) are
    strings. A config field that is a number converts the latter to a decimal number.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node within `MAX_DEPTH`: PyYAML recurses and would overflow Python's stack."""
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, _TOO_DEEP, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}int", _INT, _DIGITS)
_Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, [*_DIGITS, "."])


class _Reader:
    """Converts YAML nodes to plain values and records the line of every key."""

    def __init__(self, loader: _Loader, name: str, lines: bool, as_text: bool) -> None:
        self.loader, self.name, self.lines, self.as_text = loader, name, lines, as_text
        self.locations: dict[KeyPath, str] = {}
        self.open: list[yaml.Node] = []  # ancestors of the current node: an alias to one of them is infinite
        self.flattened: set[int] = set()  # mappings whose merge keys have been expanded
        self.count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise InvalidInput(f"more than {MAX_NODES:,} values; expected a configuration file", subject=self.name)
        if node in self.open:
            raise self.error(node, "an alias that contains itself")
        if len(self.open) > MAX_DEPTH:
            raise self.error(node, _TOO_DEEP)
        self.locations.setdefault(path, self.location(node))
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
        """Reject tags such as sets and lists of pairs."""
        if node.tag != _TAG + tag:
            raise self.error(node, f"the tag {_shown_tag(node.tag)} is not supported; omit it")

    def scalar(self, node: yaml.Node) -> Any:
        """Return a string, number, boolean or null.

        Raises:
            InvalidInput: a tag that does not fit the value or makes another type of it, a number too large, a string
                with characters that cannot be written to a file.
        """
        try:
            value = node.value if self.as_text else self.loader.construct_object(node)
        except yaml.YAMLError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise self.error(node, f"{_shortened(str(node.value))!r} is not a valid {_shown_tag(node.tag)}") from error
        if not isinstance(value, str | int | float | bool | None):
            types = "a string, a number, true, false or null"
            raise self.error(node, f"the tag {_shown_tag(node.tag)} is not supported", allowed=types)
        if isinstance(value, int) and abs(value) >= MAX_INT:
            raise self.error(node, f"an integer of {value.bit_length()} bits; at most 63 bits are allowed")
        if isinstance(value, str) and _UNWRITABLE.search(value):
            raise self.error(node, f"{_shortened(value)!r} has a NUL character or half a surrogate pair")
        return value

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[Any, Any]:
        if id(node) not in self.flattened:  # an alias leads to the same node again
            self.refuse_duplicates(node)
            self.loader.flatten_mapping(node)  # YAML's merge key: <<
            self.keep_own_keys(node)
            self.flattened.add(id(node))
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.scalar(key_node)
            self.locations[(*path, key)] = self.location(key_node)
            result[key] = self.build(value_node, (*path, key))
        return result

    def keep_own_keys(self, node: yaml.MappingNode) -> None:
        """Drop merged keys that the mapping sets itself: a mapping that merges this one would use the first of two."""
        last = {self.scalar(key_node): (key_node, value) for key_node, value in node.value}
        node.value = list(last.values())

    def refuse_duplicates(self, node: yaml.MappingNode) -> None:
        seen: dict[Any, yaml.Node] = {}
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":
                continue
            key = self.scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                raise self.error(key_node, "invalid key", allowed="a word or a number")
            if key in seen:
                raise self.error(key_node, f"duplicate key {key!r} (first in line {seen[key].start_mark.line + 1})")
            seen[key] = key_node

    def location(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.lines else self.name

    def error(self, node: yaml.Node, problem: str, *, allowed: str | None = None) -> InvalidInput:
        return InvalidInput(problem, subject=self.location(node), allowed=allowed)


def _shown_tag(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else _shortened(tag)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
