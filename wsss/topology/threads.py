"""Map a function over items with a few threads that live on, and with them their workspaces."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

from wsss.errors import InvalidInput
from wsss.io.process.cores import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Helpers:
    """Threads for all who ask, as many as any of them wanted at once; each keeps its workspace."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count, self.pool = 0, ThreadPoolExecutor(1)

    def start(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        """Begin ``work`` in ``count`` threads."""
        with self.lock:
            if count > self.count:
                self.pool.shutdown(wait=False)  # its threads end, once they have nothing to do
                self.count, self.pool = count, ThreadPoolExecutor(count, thread_name_prefix="wsss-topology")
            return [self.pool.submit(work) for _ in range(count)]


_helpers = _Helpers()
# A forked child inherits the pool but not its threads, and a lock that another thread may have held.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.__init__)  # type: ignore[misc]


def in_threads(function: Callable[[Item], Result], items: Sequence[Item], threads: int | None) -> list[Result]:
    """Return ``[function(item) for item in items]``, worked on by ``threads`` threads at a time, this one included.

    Raises:
        InvalidInput: ``threads`` is less than 1.
        Exception: the error of the first item that has one; all items are worked on nevertheless.
    """
    count = available_cores() if threads is None else threads
    if count < 1:
        raise InvalidInput(f"threads: at least 1 is needed, found {threads}")
    count = min(count, len(items))
    if count <= 1:
        return [function(item) for item in items]

    waiting: SimpleQueue[int] = SimpleQueue()
    for i in range(len(items)):
        waiting.put(i)
    results: dict[int, Result] = {}
    errors: dict[int, Exception] = {}

    def work() -> None:  # one task per thread, not per item: handing over a task costs as much as a small image
        while True:
            try:
                i = waiting.get_nowait()
            except Empty:
                return
            try:
                results[i] = function(items[i])
            except Exception as error:
                errors[i] = error

    tasks = _helpers.start(work, count - 1)
    work()
    for task in tasks:
        if not task.cancel():  # one that waits behind another caller's would find nothing to do
            task.result()
    if errors:
        raise errors[min(errors)]
    return [results[i] for i in range(len(items))]
