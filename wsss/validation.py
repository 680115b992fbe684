"""Check plain values (from YAML, JSON or the command line) against a pydantic model, with messages for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from wsss.errors import InvalidInput, closest, listing

M = TypeVar("M", bound=BaseModel)
KeyPath = tuple[str | int, ...]

SHOWN = 80
"""Longer values are cut in messages."""

_WORD = re.compile(r"[a-z_][a-z0-9_]*")


class Settings(BaseModel):
    """Base of all configs: unknown keys and NaN or infinite numbers are errors, values don't change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NotInIdentity:
    """Marks a config field that can't change results: ``Annotated[int, NotInIdentity()]``.

    ``stage.json`` shows it with the rest of the config; another value does not make a finished stage run again.
    """


class OptionName:
    """Marks a config field whose option has another name, ``Annotated[str, OptionName("val-split")]``.

    For keys that are clear inside their stage, while another command uses the option for something else.
    """

    def __init__(self, name: str) -> None:
        self.name = name


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
        problems = _without_consequences([_Problem(model, value, found) for found in error.errors(include_url=False)])
        raise InvalidInput("\n".join(_lines(problems, where, locate))) from error


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the keys a mapping for ``model`` may have: field names, or their aliases where they have one."""
    return [field.alias or name for name, field in model.model_fields.items()]


def discriminator_at(model: type[BaseModel], path: KeyPath) -> str | None:
    """Return the key that tells the members of the union at ``path`` apart, or ``None`` if there is no such union.

    For ``loss: Annotated[CE | Dice, Field(discriminator="name")]`` it is ``"name"`` at ``("loss",)``.
    """
    models, found = [model], None
    for part in path:
        fields = [_fields(m)[str(part)] for m in models if str(part) in _fields(m)]
        found = next((key for field in fields for key in _discriminators(field, field.annotation)), None)
        models = [inner for field in fields for inner in _models_in(field.annotation)]
    return found


def _discriminators(field: FieldInfo, annotation: Any) -> Iterator[str]:
    """Yield the discriminators on a field: its own, or one on an alias inside its annotation (``Loss | None``)."""
    if isinstance(field.discriminator, str):
        yield field.discriminator
    for argument in get_args(annotation):
        for extra in getattr(argument, "__metadata__", ()):
            if isinstance(extra, FieldInfo) and isinstance(extra.discriminator, str):
                yield extra.discriminator


class _Problem:
    """One of pydantic's errors, with the path that the user wrote, free of the tags of union members.

    pydantic puts a union's member into the path of an error (``("policy", "fixed", "threshold")``). `path` holds the
    user's own keys, `branches` the tags, each with the path of the union it belongs to.
    """

    def __init__(self, model: type[BaseModel], value: Any, problem: Any) -> None:
        self.kind: str = problem["type"]
        self.input = problem["input"]
        self.context: Mapping[str, Any] = problem.get("ctx", {})
        self.message: str = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        self.path: KeyPath = ()
        self.branches: list[tuple[KeyPath, str | int]] = []
        self.models: list[type[BaseModel]] = [model]  # the models that may stand at `path`, tags taken into account
        self.parents = self.models  # those one key higher
        self._walk(value, tuple(problem["loc"]))

    def _walk(self, value: Any, location: KeyPath) -> None:
        annotation: Any = None
        for position, part in enumerate(location):
            last = position == len(location) - 1
            fields = {key: field for m in self.models for key, field in _fields(m).items()}
            in_value = isinstance(value, Mapping) and part in value
            if isinstance(value, Mapping) and (part in fields or (in_value and not _is_tag(part, self.models))):
                self.parents, self.path = self.models, (*self.path, part)
                if part in fields:
                    annotation = fields[str(part)].annotation
                    self.models = list(_models_in(annotation))
                value = value.get(part) if in_value else None
            elif isinstance(part, int) and isinstance(value, list | tuple) and part < len(value):
                self.parents, self.path = self.models, (*self.path, part)
                value = value[part]
            elif last and self.kind in ("missing", "extra_forbidden"):
                self.parents, self.path = self.models, (*self.path, part)
            else:
                self.branches.append((self.path, part))
                self.models = [m for m in self.models if _is_tag(part, [m])] or self.models


def _without_consequences(problems: list[_Problem]) -> list[_Problem]:
    """Drop "too short" of lists that are so because what is wrong in them wasn't counted."""
    return [
        one
        for one in problems
        if one.kind != "too_short"
        or not any(len(other.path) > len(one.path) == _common(one.path, other.path) for other in problems)
    ]


def _common(one: KeyPath, other: KeyPath) -> int:
    """Return how many keys two paths share from the root on."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _lines(problems: list[_Problem], where: str, locate: Callable[[KeyPath], str]) -> list[str]:
    """Return a line per problem; the failed members of one union share a line, or the closest member speaks."""
    lines: list[str] = []
    while problems:
        problem = problems.pop(0)
        unions = [path for path, _ in problem.branches]
        if unions:
            same = [problem, *(other for other in problems if unions[0] in [path for path, _ in other.branches])]
            problems = [other for other in problems if other not in same]
            lines += _union_lines(same, unions[0], where, locate)
        else:
            lines.append(_line(problem, where, locate))
    return list(dict.fromkeys(lines))


def _union_lines(problems: list[_Problem], union: KeyPath, where: str, locate: Callable[[KeyPath], str]) -> list[str]:
    deeper = [problem for problem in problems if len(problem.path) > len(union)]
    if deeper:  # a mapping that was meant for one of several models: the one with the fewest problems was meant
        by_member: dict[str | int, list[_Problem]] = {}
        for problem in deeper:
            by_member.setdefault(dict(problem.branches)[union], []).append(problem)
        meant = min(by_member.values(), key=lambda found: (any(p.kind == "literal_error" for p in found), len(found)))
        return [_line(problem, where, locate) for problem in meant]
    if all(_breaks_a_rule(problem) for problem in problems):  # the member was meant, and its parts don't go together
        return [_line(problem, where, locate) for problem in problems]
    messages = dict.fromkeys(_lower(problem.message).removeprefix("input ") for problem in problems)
    start = _start(problems[0].path, where, locate)
    return [f"{start}: {', or '.join(messages)}; found {_shown(problems[0].input)}"]


def _line(problem: _Problem, where: str, locate: Callable[[KeyPath], str]) -> str:
    start = _start(problem.path, where, locate)
    if problem.kind == "extra_forbidden":
        allowed = sorted({key for model in problem.parents for key in keys_of(model)})
        last = str(problem.path[-1]) if problem.path else ""
        return f"{start}: unknown key; allowed are {listing(allowed, limit=40)}{closest(last, allowed)}"
    if problem.kind == "missing":
        return f"{start}: this key is required and missing"
    if problem.kind == "union_tag_invalid":
        key = problem.context["discriminator"].strip("'")
        found, allowed = problem.context["tag"], _words(problem.context["expected_tags"])
        start = _start((*problem.path, key), where, locate)
        return f"{start}: found {found!r}; allowed are {listing(allowed, limit=40)}{closest(found, allowed)}"
    if problem.kind == "union_tag_not_found":
        key = problem.context["discriminator"].strip("'")
        allowed = sorted(str(tag) for model in problem.models for tag in get_args(_fields(model)[key].annotation))
        start = _start((*problem.path, key), where, locate)
        return f"{start}: this key is required and missing; allowed are {listing(allowed, limit=40)}"
    if problem.kind in ("literal_error", "enum") and isinstance(problem.input, str):
        words = _words(problem.context["expected"])
        return f"{start}: {_lower(problem.message)}; found {_shown(problem.input)}{closest(problem.input, words)}"
    if _breaks_a_rule(problem):
        start = _start(problem.path, where, lambda path: _places_of_rule(problem, locate))
        return f"{start}: {_lower(problem.message)}"  # a rule about several keys: the whole mapping would not help
    return f"{start}: {_lower(problem.message)}; found {_shown(problem.input)}"


def _breaks_a_rule(problem: _Problem) -> bool:
    """Tell whether what is wrong is not one key, but how those of a mapping go together."""
    return isinstance(problem.input, Mapping) and problem.kind in ("value_error", "assertion_error")


def _places_of_rule(problem: _Problem, locate: Callable[[KeyPath], str]) -> str:
    """Return where the keys stand that a rule about a mapping names: the first word before a colon, or all of them."""
    given = [key for model in problem.models for key in keys_of(model) if key in problem.input]
    words = _WORD.findall(problem.message)
    named = [key for key in words[:1] if problem.message.startswith(f"{key}:")] or words
    places = dict.fromkeys(locate((*problem.path, key)) for key in dict.fromkeys(named) if key in given)
    return " and ".join(place for place in places if place) or locate(problem.path)


def _start(path: KeyPath, where: str, locate: Callable[[KeyPath], str]) -> str:
    key = ".".join([*([where] if where else []), *map(str, path)])
    place = locate(path)
    return ": ".join(part for part in (place, key) if part)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _words(quoted: str) -> list[str]:
    """Return the words of pydantic's ``'a', 'b' or 'c'``."""
    return [word.strip("' ") for word in quoted.replace(" or ", ",").split(",")]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_tag(part: str | int, models: list[type[BaseModel]]) -> bool:
    """Tell whether ``part`` is how pydantic calls one of ``models`` inside a union: its name, or a Literal's value."""
    return any(part == model.__name__ or part in _literals(model) for model in models)


def _literals(model: type[BaseModel]) -> set[Any]:
    return {
        value
        for field in model.model_fields.values()
        if get_origin(field.annotation) is Literal
        for value in get_args(field.annotation)
    }


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in get_args(annotation):
        yield from _models_in(argument)
