"""``${{ … }}`` in pipeline files: ``matrix.AXIS``, ``data.KEY``, ``env.NAME`` and ``seed``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wsss.errors import InvalidInput, closest, listing
from wsss.io.text.utf8 import require_utf8
from wsss.pipeline.config.source import Source
from wsss.validation import KeyPath

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_NAME = re.compile(r"^[A-Za-z_][\w-]*(\.[\w-]+)*$")


def interpolate(source: Source, scope: Mapping[str, Any], where: str = "") -> Source:
    """Return ``source`` with every expression replaced.

    A text that is one expression and nothing else becomes the value itself (a number, a mapping); inside a longer
    text the value is written out.

    Args:
        source: any plain value.
        scope: first word of an expression → its value (``{"matrix": {"loss": "dice"}, "seed": 0}``).
        where: key path of ``source``, for messages.

    Raises:
        InvalidInput: an unknown word, or a mapping or list in the middle of a text.
    """
    return Source(_replace(source, source.value, (), scope, where), source.places)


def references(value: Any, word: str) -> set[str]:
    """Return the second words of all expressions that start with ``word`` (``matrix`` → names of axes)."""
    found = set()
    for text in _texts(value):
        for expression in EXPRESSION.findall(text):
            parts = expression.split(".")
            if parts[0] == word:
                found.add(parts[1] if len(parts) > 1 else "")
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _replace(source: Source, value: Any, path: KeyPath, scope: Mapping[str, Any], where: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _replace(source, inner, (*path, key), scope, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(source, inner, (*path, index), scope, where) for index, inner in enumerate(value)]
    if not isinstance(value, str) or "${{" not in value:
        return value
    place = ": ".join(part for part in (source.locate(path), ".".join(map(str, (where, *path))).strip(".")) if part)
    whole = EXPRESSION.fullmatch(value.strip())
    if whole and "${{" not in whole.group(1):
        return _look_up(whole.group(1), scope, place)
    rest = EXPRESSION.sub("", value)
    if "${{" in rest:
        raise InvalidInput(f"{place}: an expression is not closed; found {value!r}, expected ${{{{ … }}}}.")
    return EXPRESSION.sub(lambda match: _text(_look_up(match.group(1), scope, place), match.group(1), place), value)


def _look_up(expression: str, scope: Mapping[str, Any], place: str) -> Any:
    if not _NAME.match(expression):
        raise InvalidInput(
            f"{place}: found ${{{{ {expression} }}}}; an expression is a name such as matrix.AXIS, data.KEY, env.NAME "
            "or seed."
        )
    value: Any = scope
    passed: list[str] = []
    for word in expression.split("."):
        if not isinstance(value, Mapping) or word not in value:
            raise InvalidInput(f"{place}: {_unknown(expression, passed, word, value)}")
        value = value[word]
        passed.append(word)
    if isinstance(value, str):
        require_utf8(value, f"{place}: ${{{{ {expression} }}}} is")
    return value


def _unknown(expression: str, passed: list[str], word: str, value: Any) -> str:
    if passed == ["env"]:
        return f"${{{{ {expression} }}}}: the environment variable {word} is not set."
    start = ".".join(passed)
    if not isinstance(value, Mapping):
        return f"${{{{ {expression} }}}}: {start} has no keys (it is {value!r})."
    allowed = [str(key) for key in value]
    there = f"{start or 'an expression'} has {listing(allowed, limit=20)}" if allowed else f"{start} is empty"
    return f"${{{{ {expression} }}}}: there is no {word!r} here; {there}{closest(word, allowed)}"


def _text(value: Any, expression: str, place: str) -> str:
    if isinstance(value, Mapping | list):
        raise InvalidInput(f"{place}: ${{{{ {expression} }}}} is {value!r}, which can't stand inside a text.")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
