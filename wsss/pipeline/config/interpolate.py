"""Expressions ``${{ … }}`` in pipeline files: ``matrix.AXIS``, ``data.KEY``, ``env.NAME`` and ``seed``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.utf8 import require_utf8
from wsss.model_fields import KeyPath
from wsss.pipeline.config.source import Source

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_NAME = re.compile(r"^[A-Za-z_][\w-]*(\.[\w-]+)*$")


def interpolate(source: Source, scope: Mapping[str, Any], where: str = "") -> Source:
    """Replace every expression in ``source``.

    A string that consists of one expression becomes its value (a number, a mapping); inside a longer string the value
    is inserted as text.

    Args:
        source: any plain value.
        scope: first word of an expression → its value (``{"matrix": {"loss": "dice"}, "seed": 0}``).
        where: key path of ``source``, for messages.

    Raises:
        InvalidInput: an unknown name, or a mapping or list inside a longer string.
    """
    return Source(_replace(source, source.value, (), scope, where), source.locations)


def references(value: Any, word: str) -> set[str]:
    """Return the second words of all expressions that start with ``word`` (``matrix`` → names of axes)."""
    expressions = (expression.split(".") for text in _strings(value) for expression in EXPRESSION.findall(text))
    return {parts[1] if len(parts) > 1 else "" for parts in expressions if parts[0] == word}


def first_expression(value: Any) -> str | None:
    """Return the first string with an expression in a value, or ``None``."""
    return next((text for text in _strings(value) if "${{" in text), None)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _replace(source: Source, value: Any, path: KeyPath, scope: Mapping[str, Any], where: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _replace(source, inner, (*path, key), scope, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(source, inner, (*path, index), scope, where) for index, inner in enumerate(value)]
    if not isinstance(value, str) or "${{" not in value:
        return value
    subject = source.subject(path, where)
    single = EXPRESSION.fullmatch(value.strip())
    if single and "${{" not in single.group(1):
        return _look_up(single.group(1), scope, subject)
    if "${{" in EXPRESSION.sub("", value):
        raise InvalidInput("unclosed expression", subject=subject, found=value, allowed="${{ … }}")
    return EXPRESSION.sub(lambda match: _as_text(_look_up(match[1], scope, subject), match[1], subject), value)


def _look_up(expression: str, scope: Mapping[str, Any], subject: str) -> Any:
    if not _NAME.match(expression):
        allowed = "a name such as matrix.AXIS, data.KEY, env.NAME or seed"
        raise InvalidInput(subject=subject, found=expression, allowed=allowed)
    subject = f"{subject}: ${{{{ {expression} }}}}"
    value: Any = scope
    parents: list[str] = []
    for word in expression.split("."):
        if not isinstance(value, Mapping):
            raise InvalidInput(f"{'.'.join(parents)} has no keys", subject=subject, found=value, allowed="a mapping")
        if word not in value:
            if parents == ["env"]:
                raise InvalidInput(f"the environment variable {word} is not set", subject=subject)
            name = f"key of {'.'.join(parents)}" if parents else "name"
            keys: list[str] | str = list(map(str, value)) or "a key, but there are none"
            raise InvalidInput(f"unknown {name}", subject=subject, found=word, allowed=keys)
        value = value[word]
        parents.append(word)
    if isinstance(value, str):
        require_utf8(value, f"{subject} is")
    return value


def _as_text(value: Any, expression: str, subject: str) -> str:
    if isinstance(value, Mapping | list):
        subject = f"{subject}: ${{{{ {expression} }}}}"
        raise InvalidInput("a mapping or list inside a longer string", subject=subject, found=value, allowed="a scalar")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
