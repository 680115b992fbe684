"""Map a function over items with a few threads that live on, and with them their workspaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from wsss.errors import InvalidInput

Item = TypeVar("Item")
Result = TypeVar("Result")

_pools: dict[int, ThreadPoolExecutor] = {}
# A forked child inherits the pools but not their threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


def processors() -> int:
    """Return the number of processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[Item], Result], items: Sequence[Item], threads: int | None) -> list[Result]:
    """Return ``[function(item) for item in items]``, worked on by ``threads`` threads at a time.

    Raises:
        InvalidInput: ``threads`` is less than 1.
        Exception: the error of the first item that has one.
    """
    count = processors() if threads is None else threads
    if count < 1:
        raise InvalidInput(f"threads: at least 1 is needed, found {threads}")
    count = min(count, len(items))
    if count <= 1:
        return [function(item) for item in items]
    if count not in _pools:
        _pools[count] = ThreadPoolExecutor(count, thread_name_prefix="wsss-topology")
    return list(_pools[count].map(function, items))
