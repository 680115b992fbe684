"""Reading our own JSON files: each may be damaged or made by someone else, so it is bounded in what it can hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from wsss.io.files.contained import open_to_read

DEPTH = 60
"""Objects and lists inside one another; records have about ten."""

MOST_BYTES = 256_000_000
"""Of a file; the record of a stage with a million masks has 200 MB."""


def read_json(path: Path) -> Any:
    """Return the value in a JSON file (UTF-8).

    Raises:
        OSError: no such file, it can't be read, or it is a pipe or a device.
        ValueError: not JSON; a number that isn't finite; text that can't be written as UTF-8; larger
            than `MOST_BYTES`, or nested deeper than `DEPTH`.
    """
    with open_to_read(path) as file:
        return parse_json(file.read(MOST_BYTES + 1))


def parse_json(content: bytes) -> Any:
    """Return the value of JSON text; see `read_json`."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES:,} bytes")
    text = content.decode("utf-8")
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {DEPTH}") from error
    _check_depth(value)
    if "\\ud" in text or "\\uD" in text:  # half of a pair: text that no file can hold and no terminal can show
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"found the number {constant}, expected a finite one")


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for container in inner for one in container if isinstance(one, dict | list)]
        if not level:
            return
    raise ValueError(f"nested deeper than {DEPTH}")
