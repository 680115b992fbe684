"""Bounded reading of JSON files, which may be damaged or come from an untrusted source."""

from __future__ import annotations

import json
import math
import os
from io import BufferedReader
from pathlib import Path
from typing import Any

from wsss.io.files.contained import open_to_read

MAX_DEPTH = 60
"""Maximum number of nested levels; records of wsss have about ten."""

MAX_BYTES = 256_000_000
"""Maximum file size; the record of a stage with a million masks takes 200 MB."""

CHUNK_BYTES = 1 << 16
"""Minimum number of bytes of a further read, if a file is larger than its reported size."""


def read_json(path: Path, *, max_bytes: int | None = None) -> Any:
    """Return the value in a JSON file (UTF-8).

    Args:
        max_bytes: maximum file size; by default `MAX_BYTES`.

    Raises:
        OSError: the file is missing, unreadable, a pipe or a device.
        ValueError: the file is not valid JSON or UTF-8, contains a non-finite number, or has more than ``max_bytes``
            bytes or `MAX_DEPTH` levels.
    """
    with open_to_read(path) as file:
        return parse_json(read_limited(file, max_bytes or MAX_BYTES), max_bytes=max_bytes)


def read_limited(file: BufferedReader, max_bytes: int) -> bytes:
    """Return the content of an open file, or its first ``max_bytes + 1`` bytes if it is larger than ``max_bytes``.

    ``file.read(max_bytes + 1)`` would allocate that many bytes for a small file, too.
    """
    content, end = b"", min(max_bytes, _size(file)) + 1
    while True:
        content += file.read(end - len(content))
        if len(content) < end or end > max_bytes:
            return content
        end = min(max_bytes, 2 * end + CHUNK_BYTES) + 1  # the file has grown, or reports no size (/proc)


def _size(file: BufferedReader) -> int:
    return os.fstat(file.fileno()).st_size


def read_json_object(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; ``None`` if the file is missing, damaged, or contains another kind of value."""
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def parse_json(content: bytes, *, max_bytes: int | None = None) -> Any:
    """Return the value of JSON text; see `read_json`."""
    max_bytes = max_bytes or MAX_BYTES
    if len(content) > max_bytes:
        raise ValueError(f"larger than {max_bytes:,} bytes")
    text = content.decode("utf-8")
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from error
    _check_depth(value)
    if "\\ud" in text or "\\uD" in text:  # raise UnicodeEncodeError (a ValueError) for half a surrogate pair
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"expected a finite number, got {constant}")


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        children = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for group in children for child in group if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
