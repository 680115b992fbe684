"""Errors from work that we call, turned into errors that are shown to people."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wsss.errors import RunFailed
from wsss.io.files.atomic import explain_os_errors
from wsss.io.process.exhausted import exhausted


def full_disk(error: Exception, path: Path) -> RunFailed | None:
    """Return the error to show for a full disk or quota, ``None`` for any other error.

    Args:
        error: what was raised.
        path: named when ``error`` itself names no file.
    """
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    try:
        with explain_os_errors(Path(error.filename or path)):
            raise error
    except RunFailed as explained:
        return explained


def explained(error: Exception, path: Path) -> RunFailed | None:
    """Return the error to show where the machine is the cause: it is out of space, memory, open files and so on.

    Args:
        error: what was raised.
        path: see `full_disk`.
    """
    return exhausted(error) or full_disk(error, path)


def not_finite(value: Any, path: str = "") -> Iterator[str]:
    """Yield the key paths of numbers that JSON has no word for: NaN and infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from not_finite(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from not_finite(inner, f"{path}.{index}")
