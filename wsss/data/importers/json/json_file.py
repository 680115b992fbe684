"""JSON label files: size, depth and duplicate keys are checked, errors name file and line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, Verbatim
from wsss.io.text.text_files import read_text

MAX_BYTES = 1 << 30
"""Maximum file size, twice that of COCO's instances of 118,287 training images."""


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InvalidInput: missing, too large, not UTF-8, or see `parse_json`.
    """
    return parse_json(read_bounded(path), path)


def read_bounded(path: Path) -> str:
    """Return the text of a label file.

    Raises:
        InvalidInput: missing, larger than `MAX_BYTES`, or not UTF-8.
    """
    if path.is_file() and (size := path.stat().st_size) > MAX_BYTES:
        raise InvalidInput("file too large", subject=path, found=size, allowed=f"at most {MAX_BYTES:,} bytes")
    return read_text(path)


def parse_json(text: str, path: Path, *, first: int = 1) -> Any:
    """Parse a JSON text.

    ``NaN``, which is not JSON, but which pandas writes for an empty cell, is read as ``null``.

    Args:
        text: a whole file, or one of its lines.
        path: path of the file, for error messages.
        first: number of the text's first line in the file.

    Raises:
        InvalidInput: not JSON, a duplicate key, nested too deeply, an infinite number, or one with thousands of digits.
    """
    where = path if first == 1 else f"{path}:{first}"

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InvalidInput(f"duplicate key {twice!r}", subject=where)
        return value

    def constant(name: str) -> None:
        if name != "NaN":
            raise InvalidInput("not valid JSON (an infinite number)", subject=where, found=Verbatim(name))

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except json.JSONDecodeError as error:
        lines = error.msg == "Extra data" and first == 1
        raise InvalidInput(
            f"not valid JSON ({error.msg}, column {error.colno})",
            subject=f"{path}:{error.lineno + first - 1}",
            hint="If each line is a separate record (JSON Lines), rename the file to .jsonl." if lines else None,
        ) from error
    except RecursionError as error:
        raise InvalidInput("nested too deeply", subject=path) from error
    except ValueError as error:  # Python limits the digits of an integer
        limit = sys.get_int_max_str_digits()
        digits = re.search(rf"[0-9]{{{limit + 1},}}", text)
        if digits is None:
            raise InvalidInput(f"not valid JSON ({error})", subject=path) from error
        line = text.count("\n", 0, digits.start()) + first
        raise InvalidInput(
            "number too long",
            subject=f"{path}:{line}",
            found=Verbatim(f"{len(digits[0]):,} digits"),
            allowed=f"at most {limit:,} digits",
        ) from error


_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def wrong_type(value: Any, where: object, allowed: str) -> InvalidInput:
    """Return the error for a JSON value of the wrong type; its ``found`` is the name of the type."""
    return InvalidInput(subject=where, found=[_KINDS.get(type(value), "a number")], allowed=allowed)


def objects(value: Any, where: str) -> list[dict[str, Any]]:
    """Return a list of objects.

    Raises:
        InvalidInput: not a list of objects.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise wrong_type(value, where, "a list of objects")
    return value
