"""Compile the kernels: once, cached on disk, announced when it takes long, and never out of date.

Numba caches machine code beside the source file (or in the user's cache folder where that can't be written to), and
forgets it when *that* file changes. A kernel holds the code of the kernels it calls, so here it is forgotten when any
file of this package changes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numba
from numba.core import event

PATIENCE = 1.5
"""Seconds after which a compilation is announced."""


def _package_stamp() -> tuple[float, int]:
    files = sorted(Path(__file__).parent.rglob("*.py"))
    stats = [file.stat() for file in files]
    return max(stat.st_mtime for stat in stats), sum(stat.st_size for stat in stats)


_STAMP = _package_stamp()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` with Numba: no Python objects, the GIL released, cached on disk where that is possible."""
    try:
        dispatcher: Any = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # Numba found no folder it may write to; `_say` tells
        _uncached.append(function.__name__)
        return numba.njit(nogil=True)(function)
    cache_file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        # A private name: the pair (time, size) that cached code is compared with, which is that of a single file.
        cache_file._source_stamp = _STAMP
    return dispatcher


_uncached: list[str] = []
_said = threading.Event()


def _say() -> None:
    if _said.is_set():
        return
    _said.set()
    kept = "in every run, as no cache folder can be written to: set NUMBA_CACHE_DIR" if _uncached else "once"
    print(f"Compiling the topology kernels (about half a minute, {kept}) …", file=sys.stderr)


@contextmanager
def announced() -> Iterator[None]:
    """Say on stderr, once per process, that kernels are being compiled, if the block takes longer than `PATIENCE`."""
    timer = threading.Timer(PATIENCE, _say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Announcing(event.Listener):
    """Announces what Numba compiles; code that comes from the cache on disk, however slowly, is not compiled."""

    def __init__(self) -> None:
        self._depth = 0  # compiling a kernel compiles those that it calls
        self._outermost = ExitStack()

    def on_start(self, event: Any) -> None:
        """Start waiting at the outermost compilation."""
        self._depth += 1
        if self._depth == 1:
            self._outermost.enter_context(announced())

    def on_end(self, event: Any) -> None:
        """Stop waiting at its end."""
        self._depth -= 1
        if self._depth == 0:
            self._outermost.close()


_lock = threading.Lock()
_loaded: set[tuple[str, str]] = set()


def call(dispatcher: Any, kind: str, *arguments: Any) -> Any:
    """Call a kernel; the first call of each ``kind`` of arguments announces a compilation, if there is one.

    Args:
        dispatcher: what `kernel` returned.
        kind: whatever distinguishes the types of the arguments, such as the name of a dtype.
        arguments: passed on.
    """
    known = (dispatcher.__name__, kind)
    if known not in _loaded:
        with (
            _lock,
            event.install_listener("numba:compile", _Announcing()),
        ):  # other threads wait here rather than compile the same and announce it again
            result = dispatcher(*arguments)
        _loaded.add(known)
        return result
    return dispatcher(*arguments)
