"""Several class names in one string: separated by a character, or a list as Python, pandas, NumPy and JSON print it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from wsss.errors import InvalidInput

SEPARATORS = (";", "|", ",")
"""Possible separators, in order of preference."""

LIST = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)
_LIKE_LIST = re.compile(r"""[\[{]\s*["'].*|\[.*,.*\]""", re.DOTALL)
_QUOTED = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(\s+(?=['"]))?""", re.DOTALL)
"""A quoted string and the gap before the next one: NumPy prints no comma, and Python would concatenate the two."""


def separator_of(cells: Iterable[str]) -> str | None:
    """Return the first of `SEPARATORS` that occurs in a cell other than a printed list."""
    plain = [cell for cell in cells if not LIST.fullmatch(cell)]
    return next((separator for separator in SEPARATORS if any(separator in cell for cell in plain)), None)


def names_in(cell: str, separator: str | None, where: str) -> list[str]:
    """Return the class names in a cell.

    Args:
        cell: a printed list of strings, ``{"choices": [...]}`` (Label Studio), or names.
        separator: between names; ``None``: the cell is one name.

    Raises:
        InvalidInput: the cell begins like a list but is not a list of strings.
    """
    names = _printed_list(cell)
    if names is not None:
        return names
    if _LIKE_LIST.fullmatch(cell):
        raise InvalidInput(
            subject=where,
            found=cell,
            allowed="""a list of class names such as ["cat", "dog"] or ['cat', 'dog']""",
            hint="Quote the names; in CSV, also enclose the whole list in double quotes.",
        )
    return [part for part in (cell.split(separator) if separator else [cell]) if part.strip()]


def _printed_list(cell: str) -> list[str] | None:
    if not LIST.fullmatch(cell):
        return None
    parsers: tuple[Callable[[str], Any], ...] = (json.loads, _python_literal)
    for parse in parsers:
        try:
            value = parse(cell)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # as documented for literal_eval
            continue
        if isinstance(value, dict):
            value = value.get("choices")
        if isinstance(value, list | set) and all(isinstance(name, str) for name in value):
            return sorted(value) if isinstance(value, set) else list(value)
    return None


def _python_literal(cell: str) -> Any:
    return ast.literal_eval(_QUOTED.sub(lambda match: match[1] + (", " if match[2] else ""), cell))
