"""Reading of JSON label files: duplicate keys, depth and size are checked, errors name file and line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput
from wsss.io.text.text_files import read_text

MAX_BYTES = 1 << 30
"""The instances of COCO's 118,287 training images are half of this."""


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InvalidInput: missing, too large, not UTF-8, not JSON, a key twice in one object, nested too deeply, or a
            number of thousands of digits.
    """
    return parse_json(read_bounded(path), path)


def read_bounded(path: Path) -> str:
    """Return the text of a label file.

    Raises:
        InvalidInput: missing, larger than `MAX_BYTES`, or not UTF-8.
    """
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise InvalidInput(f"{path}: {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read.")
    return read_text(path)


def parse_json(text: str, path: Path, *, first: int = 1) -> Any:
    """Return what a JSON text holds.

    Args:
        text: all of a file, or one of its lines.
        path: of the file, for errors.
        first: number of the text's first line in the file.

    Raises:
        InvalidInput: as of `read_json`.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            place = path if first == 1 else f"{path}:{first}"
            raise InvalidInput(f"{place}: duplicate key {twice!r} in one object.")
        return value

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        more = error.msg == "Extra data" and first == 1
        raise InvalidInput(
            f"{path}:{error.lineno + first - 1}: not valid JSON ({error.msg}, column {error.colno}).",
            hint="If each line is a record of its own (JSON Lines), call the file .jsonl." if more else None,
        ) from error
    except RecursionError as error:
        raise InvalidInput(f"{path}: nested too deeply for a label file.") from error
    except ValueError as error:  # Python converts no number of more digits
        most = sys.get_int_max_str_digits()
        digits = re.search(rf"[0-9]{{{most + 1},}}", text)
        if digits is None:
            raise InvalidInput(f"{path}: not valid JSON ({error}).") from error
        line = text.count("\n", 0, digits.start()) + first
        raise InvalidInput(
            f"{path}:{line}: a number of {len(digits[0]):,} digits; at most {most:,} are read."
        ) from error


def kind(value: Any) -> str:
    """Return what a JSON value is, in words, for messages."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
