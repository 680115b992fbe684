"""Check plain values (from YAML, JSON or the command line) against a pydantic model, with messages for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from wsss.errors import InvalidInput, closest, listing

M = TypeVar("M", bound=BaseModel)
KeyPath = tuple[str | int, ...]


def validate(
    model: type[M],
    value: Mapping[str, Any],
    *,
    where: str,
    locate: Callable[[KeyPath], str] = lambda path: "",
) -> M:
    """Return ``model`` built from ``value``.

    Args:
        model: a pydantic model with ``extra="forbid"``.
        value: what was read.
        where: key path of ``value`` itself (``"stages.crf.with"``), put before each key.
        locate: key path relative to ``value`` → ``"file.yaml:12"`` or ``""``, to say where the key stands.

    Raises:
        InvalidInput: one line per problem: place, key path, what was found, what is allowed, the closest valid key.
    """
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        lines = [_line(model, problem, where, locate) for problem in error.errors(include_url=False)]
        raise InvalidInput("\n".join(dict.fromkeys(lines))) from error


def _line(model: type[BaseModel], problem: Any, where: str, locate: Callable[[KeyPath], str]) -> str:
    path: KeyPath = tuple(problem["loc"])
    # pydantic puts the tag of a union's member into the path; a key of the user's file it is not.
    shown = tuple(part for part in path if not (isinstance(part, str) and ("[" in part or "-" in part)))
    key = ".".join([*([where] if where else []), *map(str, shown)])
    place = locate(path)
    start = f"{place}: {key}" if place else key
    kind = problem["type"]
    if kind == "extra_forbidden":
        allowed = sorted(_fields_at(model, path[:-1]))
        return f"{start}: unknown key; allowed are {listing(allowed, limit=40)}{closest(str(path[-1]), allowed)}"
    if kind == "missing":
        return f"{start}: this key is required and missing"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{start}: {message}; found {problem['input']!r}"


def _fields_at(model: type[BaseModel], path: KeyPath) -> set[str]:
    """Return the field names of the (nested) model at ``path``; all branches of a union count."""
    models = [model]
    for part in path:
        found: list[type[BaseModel]] = []
        for current in models:
            if isinstance(part, str) and part in current.model_fields:
                found += _models_in(current.model_fields[part].annotation)
        models = found or models
    return {name for current in models for name in current.model_fields}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]
