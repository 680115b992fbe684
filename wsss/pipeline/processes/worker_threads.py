"""Worker threads, for work that releases the GIL most of the time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WorkerThreads:
    """A pool of threads."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self._current: set[int] = set()

    def submit(self, work: Callable[[T], R], index: int, item: T) -> Future[R]:
        """Submit an item to the pool."""
        return self.pool.submit(self._work_on, work, index, item)

    def indices(self) -> list[int]:
        """Return the indices of the items that are being processed, in order."""
        return sorted(self._current.copy())

    def killed(self) -> list[int]:
        """Return the indices of the items of ended workers: none, since a thread ends with the whole process."""
        return []

    def failed_to_start(self) -> bool:
        """Return whether a worker ended before it had an item: never, see `killed`."""
        return False

    def _work_on(self, work: Callable[[T], R], index: int, item: T) -> R:
        self._current.add(index)
        try:
            return work(item)
        finally:
            self._current.discard(index)


@contextlib.contextmanager
def worker_threads(count: int) -> Iterator[WorkerThreads]:
    """Provide ``count`` threads until the end of the block; after an error, items that have begun are finished."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="wsss-worker")
    try:
        yield WorkerThreads(pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
