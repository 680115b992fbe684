"""Plain values as one line of YAML."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def yaml_text(value: Any, *, default: Callable[[Any], Any] | None = None) -> str:
    """Return a value as one line of YAML, whatever characters its strings have.

    JSON is YAML, apart from characters beyond U+FFFF, which it escapes as two surrogates. Other unprintable characters
    are either invalid in YAML (U+007F) or line breaks, which it folds into spaces (U+0085, U+2028).

    Args:
        value: mappings, lists and scalars, as for ``json.dumps``.
        default: converts values of other types.
    """
    text = json.dumps(value, ensure_ascii=False, default=default)
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
