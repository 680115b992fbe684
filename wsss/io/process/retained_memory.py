"""Memory that networks free stays with the process, instead of returning to the kernel after every layer.

glibc maps large blocks separately and unmaps them when they are freed. A network allocates new activations for
every layer and image, and the kernel clears (faults in) each page every time: a quarter of the CPU time of a training
step. Without such mappings, and without trimming the heap, freed pages are reused. Results do not change.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

VARIABLE = "WSSS_RETAIN_MEMORY"
"""Environment variable; ``0`` leaves the allocator as it is."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Parameters of glibc's ``mallopt``; see malloc.h."""

_RETAIN = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}

_RETURN = {_MMAP_MAX: 1 << 16, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
"""The limits that glibc reaches on its own once a large block has been freed; ``mallopt`` ends this adjustment."""


@contextmanager
def retained_memory() -> Iterator[None]:
    """Retain freed memory within the block, and return it to the kernel afterwards.

    Without an effect on systems other than Linux with glibc, and if the environment variable `VARIABLE` is ``0``.
    """
    libc = None if os.environ.get(VARIABLE) == "0" else _glibc()
    if libc is None:
        yield
        return
    _set(libc, _RETAIN)
    try:
        yield
    finally:
        _set(libc, _RETURN)
        libc.malloc_trim(0)


def return_freed() -> None:
    """Return the memory that is free now to the kernel, also within `retained_memory`: for large blocks used once."""
    libc = None if os.environ.get(VARIABLE) == "0" else _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, limits: Mapping[int, int]) -> None:
    for parameter, value in limits.items():
        libc.mallopt(parameter, value)


def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None)
    except OSError:
        return None
    return libc if hasattr(libc, "gnu_get_libc_version") else None
