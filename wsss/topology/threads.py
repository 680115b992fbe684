"""Map a function over items in a pool of threads that stays alive and keeps its workspaces."""

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


class _Pool:
    """Threads shared by all callers, as many as the largest request so far."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count, self.pool = 0, ThreadPoolExecutor(1)

    def start(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        """Begin ``work`` in ``count`` threads."""
        with self.lock:
            if count > self.count:
                self.pool.shutdown(wait=False)  # its threads end when they are idle
                self.count, self.pool = count, ThreadPoolExecutor(count, thread_name_prefix="wsss-topology")
            return [self.pool.submit(work) for _ in range(count)]


_pool = _Pool()
# A forked child inherits the pool without its threads, and possibly a lock held by another thread.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.__init__)  # type: ignore[misc]


def in_threads(function: Callable[[Item], Result], items: Sequence[Item], threads: int | None) -> list[Result]:
    """Return ``[function(item) for item in items]``, computed by several threads including the current one.

    Args:
        function: called with each item.
        items: the items.
        threads: number of threads; by default one per processor.

    Raises:
        InvalidInput: ``threads`` is below 1.
        Exception: the error of the first failed item; all items are processed nevertheless.
    """
    count = available_cores() if threads is None else threads
    if count < 1:
        raise InvalidInput(subject="threads", found=threads, allowed="at least 1")
    count = min(count, len(items))
    if count <= 1:
        return [function(item) for item in items]

    waiting: SimpleQueue[int] = SimpleQueue()
    for i in range(len(items)):
        waiting.put(i)
    results: dict[int, Result] = {}
    errors: dict[int, Exception] = {}

    def work() -> None:  # one task per thread, not per item: submitting a task costs as much as a small image
        while True:
            try:
                i = waiting.get_nowait()
            except Empty:
                return
            try:
                results[i] = function(items[i])
            except Exception as error:
                errors[i] = error

    tasks = _pool.start(work, count - 1)
    work()
    for task in tasks:
        if not task.cancel():  # the queue is empty, so tasks that have not started are not needed
            task.result()
    if errors:
        raise errors[min(errors)]
    return [results[i] for i in range(len(items))]
