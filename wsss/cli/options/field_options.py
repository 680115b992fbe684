"""Options generated from the config of a stage, for scalars and lists of scalars."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from wsss.cli.options.command import is_list
from wsss.cli.options.option_table import SHARED
from wsss.errors import InvalidInput
from wsss.pipeline.config.source import Source, parse_yaml
from wsss.pipeline.stage import Stage
from wsss.validation import OptionName

RESERVED = frozenset({"out", "seed", "config", "set", "force", "device", "workers", "json", "debug", "help", "data"})
"""Names of the options that every stage command has."""


def field_options(stage: Stage[Any]) -> list[click.Option]:
    """Return the options of a stage's config fields."""
    return [_field_option(key, field) for key, field in fields_with_option(stage).items()]


def fields_with_option(stage: Stage[Any]) -> dict[str, FieldInfo]:
    """Return the config fields that have an option."""
    taken = RESERVED | set(stage.inputs)
    fields = stage.config.model_fields.items()
    return {key: field for key, field in fields if key not in taken and _has_option(field.annotation)}


def option_of(key: str, field: FieldInfo) -> str:
    """Return the name of a field's option without leading dashes: its key, or its `OptionName`."""
    own = next((mark.name for mark in field.metadata if isinstance(mark, OptionName)), None)
    return own or dashed(key)


def as_source(stage: Stage[Any], values: Mapping[str, Any]) -> dict[str, Source]:
    """Return key → config source, for the options that are set."""
    sources = {}
    for key, field in fields_with_option(stage).items():
        value = values.get(variable(key))
        if value is None:
            continue
        option = option_of(key, field)
        location = f"--{option} {value}"
        parsed: Any
        if isinstance(value, bool):
            parsed, location = value, f"--{'' if value else 'no-'}{option}"
        elif _is_list(field.annotation) and _is_text(_item(field.annotation)):
            parsed = _texts(value, location)
        elif _is_list(field.annotation):
            parsed = parse_yaml(f"[{value}]", location, lines=False).value
        else:
            parsed = value if _is_text(field.annotation) else parse_yaml(value, location, lines=False).value
        sources[key] = Source({key: parsed}, {(): location, (key,): location})
    return sources


ITEM = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,]*?))\s*(?:,|$)""")
"""An item of a list and the comma after it; commas in quotes are part of the item."""


def _texts(value: str, location: str) -> list[str]:
    """Split ``A,B,C`` into items, which are not YAML: ``*seed=0*`` and ``001`` are taken literally.

    Raises:
        InvalidInput: an item is empty; a comma at the end is allowed.
    """
    items: list[str] = []
    position = 0
    while position < len(value):
        match = ITEM.match(value, position)
        assert match is not None, "the last alternative matches any text up to a comma"
        items.append(next((group for group in match.groups() if group is not None), ""))
        position = match.end()
    if "" in items:
        raise InvalidInput("empty item", subject=location, allowed="A,B,C")
    return items


def dashed(name: str) -> str:
    """Return a key as part of an option name."""
    return name.replace("_", "-")


def variable(name: str) -> str:
    """Return the name of the click parameter of a key or input."""
    return f"key_{name}"


def _field_option(key: str, field: FieldInfo) -> click.Option:
    text = (field.description or key.replace("_", " ")).rstrip(".")
    default = field.get_default(call_default_factory=True) if not field.is_required() else None
    text = text[:1].upper() + text[1:] + "."
    name = option_of(key, field)
    if name != dashed(key):
        text += f" Key: {key}."
    if field.is_required():
        text += " [required]"
    elif default is not None and default != ():
        text += f" [default: {_shown(default)}]"
    if _bare(field.annotation) == {bool}:
        return click.Option([f"--{name}/--no-{name}", variable(key)], default=None, help=text)
    known, own = SHARED.get(f"--{name}"), _metavar(field.annotation)
    fits = known is not None and is_free(own) and (is_list(known.value) or not is_list(own))
    metavar = known.value if known is not None and fits else own
    return click.Option([f"--{name}", variable(key)], default=None, metavar=metavar, help=text)


def is_free(metavar: str) -> bool:
    """Return whether a metavar is not a list of choices (``mean|max``)."""
    return not re.fullmatch(r"[^A-Z|]+(\|[^A-Z|]+)+(,…)?", metavar)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bare(annotation: Any) -> set[Any]:
    """Return the types of an annotation except ``None``; for a Literal, the types of its values."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return {kind for argument in get_args(annotation) for kind in _bare(argument)}
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    return set() if annotation is type(None) else {annotation}


def _is_scalar(annotation: Any) -> bool:
    kinds = _bare(annotation)
    return bool(kinds) and kinds <= {bool, int, float, str, Path}


def _without_none(annotation: Any) -> Any:
    """Return ``T`` for ``T | None``, other annotations unchanged."""
    members = [kind for kind in get_args(annotation) if kind is not type(None)]
    return members[0] if get_origin(annotation) in (Union, types.UnionType) and len(members) == 1 else annotation


def _item(annotation: Any) -> Any:
    """Return the annotation of the items of a list."""
    return get_args(_without_none(annotation))[0]


def _is_list(annotation: Any) -> bool:
    """Return whether an annotation is a list of scalars, written ``A,B,C``."""
    annotation = _without_none(annotation)
    if get_origin(annotation) is list:
        return _is_scalar(get_args(annotation)[0])
    return (
        get_origin(annotation) is tuple and get_args(annotation)[1:] == (...,) and _is_scalar(get_args(annotation)[0])
    )


def _has_option(annotation: Any) -> bool:
    return _is_scalar(annotation) or _is_list(annotation)


def _is_text(annotation: Any) -> bool:
    return _bare(annotation) <= {str, Path}


def _metavar(annotation: Any) -> str:
    if _is_list(annotation):
        return f"{_metavar(_item(annotation))},…"
    parts = (annotation, *get_args(annotation))
    words = [str(value) for part in parts if get_origin(part) is Literal for value in get_args(part)]
    names = {bool: "BOOL", int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}
    values = {type(value) for part in parts if get_origin(part) is Literal for value in get_args(part)}
    free = {names[kind] for kind in _bare(annotation) - values}
    return "|".join([*sorted(free), *words])
