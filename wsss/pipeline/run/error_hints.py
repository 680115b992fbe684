"""Errors of the machine and of other libraries, as errors for users."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wsss.errors import RunFailed
from wsss.io.files.atomic import convert_os_errors
from wsss.io.process.exhausted import exhausted


def full_disk(error: Exception, path: Path) -> RunFailed | None:
    """Return the error to show for a full disk or quota, ``None`` for any other error.

    Args:
        path: named if ``error`` names no file.
    """
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    try:
        with convert_os_errors(Path(error.filename or path)):
            raise error
    except RunFailed as explained:
        return explained


def machine_error(error: Exception, path: Path) -> RunFailed | None:
    """Return the error to show if the machine is the cause (out of space, memory, open files …), otherwise ``None``.

    Args:
        path: see `full_disk`.
    """
    return exhausted(error) or full_disk(error, path)


def not_finite(value: Any, path: str = "") -> Iterator[str]:
    """Yield the key paths of NaN and infinite numbers, which JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from not_finite(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from not_finite(inner, f"{path}.{index}")
