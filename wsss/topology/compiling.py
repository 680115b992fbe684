"""Compile the kernels: once, cached on disk, announced when it takes long, and never out of date.

Numba caches machine code beside the source file (or in the user's cache folder where that can't be written to), and
forgets it when *that* file changes. A kernel holds the code of the kernels it calls, so here it is forgotten when any
file of this package changes.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba

log = logging.getLogger(__name__)

PATIENCE = 1.5
"""Seconds before a compilation is announced; loading from the cache takes less."""


def _package_stamp() -> tuple[float, int]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    stats = [file.stat() for file in files]
    return max(stat.st_mtime for stat in stats), sum(stat.st_size for stat in stats)


_STAMP = _package_stamp()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` with Numba: no Python objects, the GIL released, cached on disk."""
    dispatcher = numba.njit(nogil=True, cache=True)(function)
    # The one private name: the pair (time, size) a cache file is compared with, which is that of a single file.
    dispatcher._cache._cache_file._source_stamp = _STAMP
    return dispatcher


@contextmanager
def announced(what: str = "topology kernels") -> Iterator[None]:
    """Say on stderr that something is being compiled, if the block takes longer than `PATIENCE`."""

    def say() -> None:
        print(f"Compiling {what} (once, up to a minute; cached for later runs) …", file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
