"""Processing single items in worker processes or threads: as many at a time as fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

from wsss.errors import RunFailed, listing
from wsss.io.process.exhausted import OUT_OF_MEMORY
from wsss.io.process.memory_budget import WORKER_BYTES, Budget, available_bytes, size_text
from wsss.io.process.shared_state import set_current_items
from wsss.pipeline.processes.worker_processes import WorkerProcesses, kept_count, worker_processes
from wsss.pipeline.processes.worker_threads import WorkerThreads, worker_threads

T = TypeVar("T")
R = TypeVar("R")

NOT_STARTED = (
    "If memory is exhausted, use fewer workers. If you called run_pipeline from Python: worker processes import the "
    'calling program, which must call it inside `if __name__ == "__main__":`, and cannot run functions defined in a '
    "notebook; move these to a module. workers=1 (--workers 1) starts no worker processes."
)
"""Hint for worker processes that end before they receive an item."""

PREFETCH = 4
"""Items submitted per worker in addition to the current one."""


class Pool(Generic[T, R]):
    """Workers that process items; see `wsss.pipeline.run.items.map_items`.

    Args:
        items, work, memory: see there.
        workers: maximum number of workers.
        threads: whether the workers are threads, not processes.
        processes: number of processes on this machine that have such a pool at the same time and share its memory.
        name: item → its name in messages.
        log: prints a line if memory limits the number of workers.
    """

    def __init__(
        self,
        items: Sequence[T],
        work: Callable[[T], R],
        *,
        workers: int,
        threads: bool,
        name: Callable[[T], str],
        memory: Callable[[T], int] | None,
        log: Callable[[str], None],
        processes: int = 1,
    ) -> None:
        self.items, self.work, self.name, self.log = items, work, name, log
        self.memory = memory or (lambda item: 0)
        self.size, self.workers = workers, min(workers, len(items))
        self.budget = _budget(self.workers, threads, processes)
        self.start = worker_threads if threads else worker_processes
        self.logged = False
        self.running: dict[Future[R], tuple[int, int]] = {}  # → index and bytes

    def run(self, advance: Callable[[int], None], on_error: Callable[[int, T, Exception], None]) -> dict[int, R]:
        """Return index → ``work(item)`` of every item.

        Args:
            advance: called with 1 for each finished item.
            on_error: called with index, item and error of each item that failed; an error raised by it ends the pool.
        """
        if self.budget.workers < self.workers:
            self._log_limit(f"each process needs about {size_text(WORKER_BYTES)}")
        results: dict[int, R] = {}
        waiting = list(range(len(self.items)))[::-1]
        with self.start(self.size) as workers:
            while waiting or self.running:
                self._submit(workers, waiting)
                set_current_items(self._names(workers.indices()))
                finished, _ = wait(self.running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=lambda future: self.running[future]):
                    index, _ = self.running[future]
                    try:
                        results[index] = future.result()
                    except BrokenProcessPool as error:
                        raise self._broken(workers) from error
                    except Exception as error:
                        on_error(index, self.items[index], error)
                    del self.running[future]
                    advance(1)
        set_current_items([])
        return results

    def _submit(self, workers: WorkerProcesses | WorkerThreads, waiting: list[int]) -> None:
        """Submit as many items as the number of workers and the memory allow."""
        limited = self.budget.workers < self.workers  # then no item may wait for one of the other workers
        limit = self.budget.workers * (1 if limited else 1 + PREFETCH)
        while waiting and len(self.running) < limit:
            index = waiting[-1]
            need = self.memory(self.items[index])
            if not self.budget.has_room_for([used for _, used in self.running.values()], need):
                if len(self.running) < self.budget.workers:
                    self._log_limit(f"{self.name(self.items[index])} needs about {size_text(need)}")
                return
            try:
                future = workers.submit(self.work, index, self.items[index])
            except BrokenProcessPool as error:
                raise self._broken(workers) from error
            self.running[future] = index, need
            waiting.pop()

    def _log_limit(self, reason: str) -> None:
        """Log once that memory limits the number of workers."""
        if not self.logged:
            available = size_text(self.budget.available or 0)
            self.log(f"note: fewer than {self.workers} images at a time: {reason}, and only {available} is available.")
            self.logged = True

    def _names(self, indices: Sequence[int]) -> list[str]:
        return [self.name(self.items[index]) for index in indices]

    def _broken(self, workers: WorkerProcesses | WorkerThreads) -> RunFailed:
        """Return the error for a pool that broke because one of its processes ended."""
        if workers.failed_to_start():
            return RunFailed(
                "a worker process ended before it processed an image (its exception is on stderr)", hint=NOT_STARTED
            )
        names = self._names(workers.killed() or sorted(index for index, _ in self.running.values()))
        at = f"{'one of: ' if len(names) > 1 else ''}{listing(names, limit=12)}"
        return RunFailed(
            f"a worker process was killed while it processed {at}; most likely out of memory", hint=OUT_OF_MEMORY
        )


def _budget(workers: int, threads: bool, processes: int) -> Budget:
    """Return the memory for new workers and for items; kept processes have their share already."""
    everything = available_bytes()
    available = None if everything is None else everything // processes
    if threads or available is None:
        return Budget(workers, available, each=0)
    return Budget(workers, available + kept_count() * WORKER_BYTES)
