"""Compilation of the kernels, cached on disk and announced if it takes long.

Numba caches machine code beside the source file (or in the user's cache folder if that is read-only) and invalidates it
when *that* file changes. A kernel includes the code of the kernels it calls, so here the cache is invalidated when any
file of the kernel's package (``wsss/topology``, ``wsss/refine``) changes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import event

PATIENCE = 1.5
"""Seconds after which a compilation is announced."""


@cache
def _stamp(package: str) -> tuple[float, int]:
    """Return the latest modification time and the total size of the files of a package of `wsss`."""
    stats = [file.stat() for file in sorted((Path(__file__).parents[1] / package).rglob("*.py"))]
    return max(stat.st_mtime for stat in stats), sum(stat.st_size for stat in stats)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` with Numba, without the GIL and cached on disk if possible."""
    try:
        dispatcher: Any = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # Numba has no writable cache folder; `_announce` warns
        _uncached.append(function.__name__)
        return numba.njit(nogil=True)(function)
    numba_cache: Any = getattr(dispatcher, "_cache", None)
    cache_file = getattr(numba_cache, "_cache_file", None)
    if cache_file is not None:
        # Private attribute: the (time, size) that cached code is compared with, by default those of a single file.
        cache_file._source_stamp = _stamp(function.__module__.split(".")[1])
        cache_file._load_index = _unless_damaged(cache_file._load_index, dict)
        cache_file._save_index = _indexing(cache_file)
        cache_file.load = _unless_damaged(cache_file.load, lambda: None)
        numba_cache.save_overload = _saving(numba_cache, function.__name__)
    return dispatcher


def _unless_damaged(read: Callable[..., Any], empty: Callable[[], Any]) -> Callable[..., Any]:
    """Return a function that reads a file of the cache; a damaged file counts as empty, so that it is replaced.

    Numba does not fsync its files: after a power failure, or on a full disk, they may be empty or truncated.
    """

    def read_intact(*arguments: Any) -> Any:
        try:
            return read(*arguments)
        except MemoryError:
            raise
        except Exception:  # unpickling a damaged file raises any kind of exception
            return empty()

    return read_intact


def _indexing(cache_file: Any) -> Callable[[dict[Any, str]], None]:
    """Return a function that writes the index of a kernel, after deleting old code files whose names it reuses.

    Numba writes the index first, and numbers the files of code from 1 again after a change of the source: if the code
    could then not be written, the new index would refer to code of the old source.
    """
    save_index = cache_file._save_index

    def save_index_without_old_code(overloads: dict[Any, str]) -> None:
        for name in set(overloads.values()) - set(cache_file._load_index().values()):
            Path(cache_file._data_path(name)).unlink(missing_ok=True)
        save_index(overloads)

    return save_index_without_old_code


def _saving(numba_cache: Any, name: str) -> Callable[[Any, Any], None]:
    """Return a function that caches compiled code; if the cache is not writable, the code is used uncached."""
    save = numba_cache.save_overload

    def save_if_possible(signature: Any, code: Any) -> None:
        try:
            save(signature, code)
        except OSError as error:
            _uncached.append(name)
            _warn(f"{numba_cache.cache_path}: {error.strerror or error}")

    return save_if_possible


_ONCE = "once per kind of computation, then cached; to compile all in advance: wsss topo warmup"
_uncached: list[str] = []
_announced = threading.Event()
_warned = threading.Event()


def _warn(reason: str) -> None:
    if _warned.is_set():
        return
    _warned.set()
    print(
        f"Compiled kernels are not cached, so that every process compiles them again ({reason}). "
        "Free disk space, or set NUMBA_CACHE_DIR to a writable folder.",
        file=sys.stderr,
    )


def _announce() -> None:
    if _announced.is_set():
        return
    _announced.set()
    often = "in every process, because no cache folder is writable: set NUMBA_CACHE_DIR" if _uncached else _ONCE
    print(f"Compiling numerical kernels (up to half a minute, {often}) …", file=sys.stderr)


@contextmanager
def announced() -> Iterator[None]:
    """Announce a compilation on stderr, once per process, if the block takes longer than `PATIENCE`."""
    timer = threading.Timer(PATIENCE, _announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Announcing(event.Listener):
    """Announces compilations, but not code loaded from the cache on disk."""

    def __init__(self) -> None:
        self._depth = 0  # compiling a kernel compiles the kernels it calls
        self._outermost = ExitStack()

    def on_start(self, event: Any) -> None:
        """Start the timer at the outermost compilation."""
        self._depth += 1
        if self._depth == 1:
            self._outermost.enter_context(announced())

    def on_end(self, event: Any) -> None:
        """Stop the timer at its end."""
        self._depth -= 1
        if self._depth == 0:
            self._outermost.close()


_lock = threading.Lock()
_loaded: set[tuple[str, str]] = set()


def call(dispatcher: Any, kind: str, *arguments: Any) -> Any:
    """Call a kernel, and announce a compilation at the first call of each ``kind``.

    Args:
        dispatcher: a `kernel`.
        kind: identifies the types of the arguments, such as the name of a dtype.
        arguments: passed on.
    """
    key = (dispatcher.__name__, kind)
    if key not in _loaded:
        # Other threads wait for the lock instead of compiling and announcing the same kernel again.
        with _lock, event.install_listener("numba:compile", _Announcing()):
            result = dispatcher(*arguments)
        _loaded.add(key)
        return result
    return dispatcher(*arguments)
