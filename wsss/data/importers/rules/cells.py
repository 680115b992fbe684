"""Several class names in one text: separated by a sign, or a list as Python, pandas, NumPy and JSON print it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from wsss.errors import InvalidInput

SEPARATORS = (";", "|", ",")
"""What may stand between labels in one text, looked for in this order."""

LIST = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)
MEANT_AS_LIST = re.compile(r"""[\[{]\s*["'].*|\[.*,.*\]""", re.DOTALL)
QUOTED = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(\s+(?=['"]))?""", re.DOTALL)
"""A quoted text, and a gap to the next one as NumPy prints it; Python would take both for one text."""


def separator_of(texts: Iterable[str]) -> str | None:
    """Return the first of `SEPARATORS` that occurs in a text which is no printed list."""
    plain = [text for text in texts if not LIST.fullmatch(text)]
    return next((sign for sign in SEPARATORS if any(sign in text for text in plain)), None)


def names_in(text: str, separator: str | None, where: str) -> list[str]:
    """Return the names in a text.

    Args:
        text: a printed list of texts, ``{"choices": [...]}`` (Label Studio), or names.
        separator: between names; ``None``: the text is one name.
        where: of the text.

    Raises:
        InvalidInput: it begins like a list, and is none of texts.
    """
    listed = _listed(text)
    if listed is not None:
        return listed
    if MEANT_AS_LIST.fullmatch(text):
        raise InvalidInput(
            f"{where}: found {text[:80]!r}, which looks like a list and is none of class names; expected is "
            """["cat", "dog"] or ['cat', 'dog'].""",
            hint="Put names between quotes; in CSV, put the whole list between double quotes, too.",
        )
    return [part for part in (text.split(separator) if separator else [text]) if part.strip()]


def _listed(text: str) -> list[str] | None:
    """Return the texts in a printed list."""
    if not LIST.fullmatch(text):
        return None
    readers: tuple[Callable[[str], Any], ...] = (json.loads, _python_list)
    for reader in readers:
        try:
            value = reader(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # what literal_eval may raise
            continue
        if isinstance(value, dict):
            value = value.get("choices")
        if isinstance(value, list | set) and all(isinstance(name, str) for name in value):
            return sorted(value) if isinstance(value, set) else list(value)
    return None


def _python_list(text: str) -> Any:
    return ast.literal_eval(QUOTED.sub(lambda found: found[1] + (", " if found[2] else ""), text))
