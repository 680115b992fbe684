"""Validation of plain values (from YAML, JSON or the command line) against pydantic models, with readable errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from wsss.errors import InvalidInput, Verbatim
from wsss.io.files.home_paths import expand_home
from wsss.model_fields import KeyPath, fields_of, keys_of, models_in, subject_of

M = TypeVar("M", bound=BaseModel)
Locate = Callable[[KeyPath], str]

_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type", "mapping_type"), "a mapping"),
    "finite_number": "a finite number",
    "string_type": "text",
    "path_type": "a path",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "too_short": "a length of at least {min_length}",
    "too_long": "a length of at most {max_length}",
    "string_too_short": "a length of at least {min_length}",
    "string_pattern_mismatch": "text that matches {pattern}",
}
"""Kind of pydantic error → the allowed values."""


class Settings(BaseModel):
    """Base class of all configs: frozen; unknown keys and non-finite numbers are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _expand_home(cls, value: Any) -> Any:
        return expand_home(value) if isinstance(value, Path) else value


class NotInIdentity:
    """Marks a config field that does not change results: ``Annotated[int, NotInIdentity()]``.

    It may change their last digits, as the device does, which is not part of the identity either. ``stage.json``
    records the field, but changing it does not re-run a finished stage.
    """


class InIdentityIfSet:
    """Marks a config field that is part of the identity only if it differs from its default.

    For settings added to an existing stage whose default leaves its results unchanged: finished stages do not re-run.
    """


class OptionName:
    """Gives the option of a config field a name that differs from its key: ``Annotated[str, OptionName("val-split")]``.

    For keys that are unambiguous within their stage, while another command uses the option for something else.
    """

    def __init__(self, name: str) -> None:
        self.name = name


def refuse_unused(config: BaseModel, *keys: str, requires: str, got: object) -> None:
    """Refuse settings that another setting leaves without effect, for the validators of a config.

    A value equal to its default is not refused: the recorded config of a finished stage has all keys.

    Args:
        keys: names of fields without effect.
        requires: the setting that they require, such as ``"head: lraspp"``.
        got: the actual value of that setting.

    Raises:
        ValueError: one of the keys is set.
    """
    for key in keys:
        value = getattr(config, key)
        default = type(config).model_fields[key].get_default(call_default_factory=True)
        if value != default:
            raise ValueError(
                f"{key}: {_yaml(value)} requires {requires}, got {got}; omit it, or override a preset with its "
                f"default, {_yaml(default)}"
            )


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def validate(model: type[M], value: Mapping[str, Any], *, where: str, locate: Locate = lambda path: "") -> M:
    """Return ``model`` built from ``value``.

    Args:
        model: a pydantic model with ``extra="forbid"``.
        where: key path of ``value`` itself (``"stages.crf.with"``), prefixed to each key.
        locate: maps a key path relative to ``value`` to its location, ``"file.yaml:12"`` or ``""``.

    Raises:
        InvalidInput: the subject is location and key path; several problems are listed in ``errors``.
    """
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        problems = _without_consequences([_Problem(model, value, raw) for raw in error.errors(include_url=False)])
        errors = {error.message: error for error in _errors(problems, where, locate)}
        if len(errors) == 1:
            raise next(iter(errors.values())) from error
        raise InvalidInput("\n".join(errors), errors=list(errors.values())) from error


class _Problem:
    """One of pydantic's errors, its path reduced to the user's own keys.

    pydantic inserts the tags of union members into the path (``("policy", "fixed", "threshold")``). `path` holds the
    user's keys, `branches` the tags, each with the path of its union.
    """

    def __init__(self, model: type[BaseModel], value: Any, error: Any) -> None:
        self.kind: str = error["type"]
        self.input = error["input"]
        self.found = Verbatim("null") if self.input is None else self.input
        self.context: Mapping[str, Any] = error.get("ctx", {})
        message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        self.message: str = message[:1].lower() + message[1:]
        self.path: KeyPath = ()
        self.branches: list[tuple[KeyPath, str | int]] = []
        self.models: list[type[BaseModel]] = [model]  # possible models at `path`, given the tags
        self.parents = self.models  # possible models one key higher
        self._walk(value, tuple(error["loc"]))

    def _walk(self, value: Any, location: KeyPath) -> None:
        annotation: Any = None
        for position, part in enumerate(location):
            last = position == len(location) - 1
            fields = {key: field for m in self.models for key, field in fields_of(m).items()}
            in_value = isinstance(value, Mapping) and part in value
            if isinstance(value, Mapping) and (part in fields or (in_value and not _is_tag(part, self.models))):
                self.parents, self.path = self.models, (*self.path, part)
                if part in fields:
                    annotation = fields[str(part)].annotation
                    self.models = list(models_in(annotation))
                value = value.get(part) if in_value else None
            elif isinstance(part, int) and isinstance(value, list | tuple) and part < len(value):
                self.parents, self.path = self.models, (*self.path, part)
                value = value[part]
            elif last and self.kind in ("missing", "extra_forbidden"):
                self.parents, self.path = self.models, (*self.path, part)
            else:
                self.branches.append((self.path, part))
                self.models = [m for m in self.models if _is_tag(part, [m])] or self.models

    @property
    def is_rule(self) -> bool:
        """Whether a rule about several keys of a mapping is violated, not the type or range of one value."""
        return isinstance(self.input, Mapping) and self.kind in ("value_error", "assertion_error")

    @property
    def allowed(self) -> str | list[str] | None:
        """The allowed values; ``None`` if only the message states them."""
        if self.kind in ("literal_error", "enum"):
            return _words(self.context["expected"])
        if self.kind in _EXPECTED:
            return _EXPECTED[self.kind].format(**{k: str(v).removesuffix(".0") for k, v in self.context.items()})
        if self.message.startswith("expected ") and ", got " not in self.message:
            return self.message.removeprefix("expected ")
        return None


def _without_consequences(problems: list[_Problem]) -> list[_Problem]:
    """Drop "too short" errors of lists that pydantic counts without their invalid elements."""
    return [
        problem
        for problem in problems
        if problem.kind != "too_short"
        or not any(len(p.path) > len(problem.path) and p.path[: len(problem.path)] == problem.path for p in problems)
    ]


def _errors(problems: list[_Problem], where: str, locate: Locate) -> Iterator[InvalidInput]:
    """Yield one error per problem; the failed members of a union are merged, or reduced to the closest member."""
    while problems:
        problem = problems.pop(0)
        if not problem.branches:
            yield _error(problem, where, locate)
            continue
        union = problem.branches[0][0]
        same = [problem, *(other for other in problems if union in [path for path, _ in other.branches])]
        problems = [other for other in problems if other not in same]
        yield from _union_errors(same, union, where, locate)


def _union_errors(problems: list[_Problem], union: KeyPath, where: str, locate: Locate) -> Iterator[InvalidInput]:
    deeper = [problem for problem in problems if len(problem.path) > len(union)]
    if deeper:  # a mapping for one of several models: report the model with the fewest problems
        by_member: dict[str | int, list[_Problem]] = {}
        for problem in deeper:
            by_member.setdefault(dict(problem.branches)[union], []).append(problem)
        problems = min(
            by_member.values(), key=lambda errors: (any(p.kind == "literal_error" for p in errors), len(errors))
        )
    elif not all(problem.is_rule for problem in problems):
        yield _no_member(problems, _subject(problems[0].path, where, locate))
        return
    for problem in problems:
        yield _error(problem, where, locate)


def _no_member(problems: list[_Problem], subject: str | None) -> InvalidInput:
    """Return the error of a value that fits no member of its union."""
    allowed = [problem.allowed or problem.message.removeprefix("input should be ") for problem in problems]
    names = [name for values in allowed if not isinstance(values, str) for name in values]
    phrases = [value for value in allowed if isinstance(value, str)]
    found = problems[0].found
    if not phrases:
        return InvalidInput(subject=subject, found=found, allowed=names)
    *first, last = dict.fromkeys([*phrases, *names])
    return InvalidInput(subject=subject, found=found, allowed=f"{', '.join(first)} or {last}" if first else last)


def _error(problem: _Problem, where: str, locate: Locate) -> InvalidInput:
    subject = _subject(problem.path, where, locate)
    if problem.kind == "extra_forbidden":
        allowed = sorted({key for model in problem.parents for key in keys_of(model)})
        return InvalidInput("unknown key", subject=subject, found=str(problem.path[-1]), allowed=allowed)
    if problem.kind == "missing":
        return InvalidInput("required key is missing", subject=subject)
    if problem.kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag_error(problem, where, locate)
    if problem.is_rule:
        subject = _subject(problem.path, where, lambda path: _places_of_rule(problem, locate))
        return InvalidInput(problem.message, subject=subject)
    if problem.allowed is not None:
        return InvalidInput(subject=subject, found=problem.found, allowed=problem.allowed)
    found = None if ", got " in problem.message else problem.found
    return InvalidInput(problem.message, subject=subject, found=found)


def _tag_error(problem: _Problem, where: str, locate: Locate) -> InvalidInput:
    """Return the error of a missing or unknown discriminator, such as a loss's ``name``."""
    key = problem.context["discriminator"].strip("'")
    subject = _subject((*problem.path, key), where, locate)
    if problem.kind == "union_tag_invalid":
        allowed = _words(problem.context["expected_tags"])
        return InvalidInput(subject=subject, found=problem.context["tag"], allowed=allowed)
    allowed = sorted(str(tag) for model in problem.models for tag in get_args(fields_of(model)[key].annotation))
    return InvalidInput("required key is missing", subject=subject, allowed=allowed)


def _places_of_rule(problem: _Problem, locate: Locate) -> str:
    """Return the locations of the keys in a rule: of the first word before a colon, or of all keys it names."""
    present = [key for model in problem.models for key in keys_of(model) if key in problem.input]
    words = _WORD.findall(problem.message)
    named = [key for key in words[:1] if problem.message.startswith(f"{key}:")] or words
    locations = dict.fromkeys(locate((*problem.path, key)) for key in dict.fromkeys(named) if key in present)
    return " and ".join(location for location in locations if location) or locate(problem.path)


def _subject(path: KeyPath, where: str, locate: Locate) -> str | None:
    return subject_of(path, where, locate(path)) or None


def _words(quoted: str) -> list[str]:
    """Return the words of pydantic's ``'a', 'b' or 'c'``."""
    return [word.strip("' ") for word in quoted.replace(" or ", ",").split(",")]


def _is_tag(part: str | int, models: list[type[BaseModel]]) -> bool:
    """Return whether ``part`` is pydantic's tag of one of ``models`` in a union: its name, or a Literal's value."""
    literals = (
        value
        for model in models
        for field in model.model_fields.values()
        if get_origin(field.annotation) is Literal
        for value in get_args(field.annotation)
    )
    return any(part == model.__name__ for model in models) or part in literals
