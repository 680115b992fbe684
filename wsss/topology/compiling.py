"""Compile the kernels: once, cached on disk, announced when it takes long, and never out of date.

Numba caches machine code beside the source file (or in the user's cache folder where that can't be written to), and
forgets it when *that* file changes. A kernel holds the code of the kernels it calls, so here it is forgotten when any
file of this package changes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba

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


_lock = threading.Lock()
_loaded: set[tuple[str, str]] = set()


def call(dispatcher: Any, kind: str, *arguments: Any) -> Any:
    """Call a kernel; the first call of each ``kind`` of arguments may have to compile it, and announces that.

    Args:
        dispatcher: what `kernel` returned.
        kind: whatever distinguishes the types of the arguments, such as the name of a dtype.
        arguments: passed on.
    """
    known = (dispatcher.__name__, kind)
    if known not in _loaded:
        with _lock, announced():  # other threads wait here rather than compile the same and announce it again
            result = dispatcher(*arguments)
        _loaded.add(known)
        return result
    return dispatcher(*arguments)
