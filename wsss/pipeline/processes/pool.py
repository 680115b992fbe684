"""A pool of worker processes for single items: as many at a time as fit into memory."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from wsss.errors import RunFailed, listing
from wsss.io.process.exhausted import OUT_OF_MEMORY
from wsss.io.process.headroom import WORKER_BYTES, Budget, available_bytes, size_text
from wsss.io.process.orphans import end_with_parent
from wsss.io.process.shared_state import set_current_items

T = TypeVar("T")
R = TypeVar("R")

PREFETCH = 4
"""Items submitted per process in addition to the present one."""

_IDLE = -1


def run_in_pool(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    workers: int,
    advance: Callable[[int], None],
    name: Callable[[T], str],
    memory: Callable[[T], int] | None,
    log: Callable[[str], None],
    on_error: Callable[[int, T, Exception], None],
) -> dict[int, R]:
    """Return index → ``work(item)`` of every item; see `wsss.pipeline.run.items.map_items`.

    Args:
        items, work, memory: see there.
        workers: maximum number of processes.
        advance: called with 1 for each finished item.
        name: item → its name in messages.
        log: prints a line if memory limits the number of processes.
        on_error: called with index, item and error of each item that failed; an error raised by it ends the pool.
    """
    return _Pool(items, work, workers, name, memory, log).run(advance, on_error)


class _Pool(Generic[T, R]):
    def __init__(
        self,
        items: Sequence[T],
        work: Callable[[T], R],
        workers: int,
        name: Callable[[T], str],
        memory: Callable[[T], int] | None,
        log: Callable[[str], None],
    ) -> None:
        self.items, self.work, self.name, self.log = items, work, name, log
        self.memory = memory or (lambda item: 0)
        self.budget = Budget(workers, available_bytes())
        self.workers, self.logged = workers, False
        self.running: dict[Future[R], tuple[int, int]] = {}  # → index and bytes

    def run(self, advance: Callable[[int], None], on_error: Callable[[int, T, Exception], None]) -> dict[int, R]:
        if self.budget.workers < self.workers:
            self._log_limit(f"each process needs about {size_text(WORKER_BYTES)}")
        results: dict[int, R] = {}
        waiting = list(range(len(self.items)))[::-1]
        with _processes(self.budget.workers) as (pool, current):
            while waiting or self.running:
                self._submit(pool, current, waiting)
                set_current_items(self._names(current.indices()))
                finished, _ = wait(self.running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=lambda one: self.running[one]):
                    index, _ = self.running[future]
                    try:
                        results[index] = future.result()
                    except BrokenProcessPool as error:
                        raise self._killed(current) from error
                    except Exception as error:
                        on_error(index, self.items[index], error)
                    del self.running[future]
                    advance(1)
        set_current_items([])
        return results

    def _submit(self, pool: ProcessPoolExecutor, current: _Current, waiting: list[int]) -> None:
        """Submit as many items as the number of processes and the memory allow."""
        while waiting and len(self.running) < self.budget.workers * (1 + PREFETCH):
            index = waiting[-1]
            need = self.memory(self.items[index])
            if not self.budget.admits([used for _, used in self.running.values()], need):
                if len(self.running) < self.budget.workers:
                    self._log_limit(f"{self.name(self.items[index])} needs about {size_text(need)}")
                return
            try:
                with _without_interrupts():
                    future = pool.submit(_work_on, self.work, index, self.items[index])
            except BrokenProcessPool as error:
                raise self._killed(current) from error
            self.running[future] = index, need
            waiting.pop()

    def _log_limit(self, reason: str) -> None:
        """Log once that memory limits the number of processes."""
        if not self.logged:
            available = size_text(self.budget.available or 0)
            self.log(f"note: fewer than {self.workers} images at a time: {reason}, {available} of memory is available.")
            self.logged = True

    def _names(self, indices: Sequence[int]) -> list[str]:
        return [self.name(self.items[index]) for index in indices]

    def _killed(self, current: _Current) -> RunFailed:
        """Return the error for a pool that broke because one of its processes was killed."""
        names = self._names(current.killed() or sorted(index for index, _ in self.running.values()))
        at = f"{'one of: ' if len(names) > 1 else ''}{listing(names, limit=12)}"
        return RunFailed(
            f"a worker process was killed while it processed {at}; most often memory ran out", hint=OUT_OF_MEMORY
        )


class _Current:
    """The present item of each process, in shared memory.

    Args:
        slots: process id and index of its item (−1: none) of every process.
    """

    def __init__(self, slots: Any) -> None:
        self.slots = slots
        self.processes: Mapping[int, Any] = {}

    def indices(self) -> list[int]:
        """Return the indices of the items that are being processed, in order."""
        return sorted(index for pid, index in self._pairs() if pid and index != _IDLE)

    def killed(self) -> list[int]:
        """Return the indices of the items of processes that something outside of this program ended."""
        for process in self.processes.values():
            process.join(1)
        ended = {pid for pid, process in self.processes.items() if process.exitcode not in (None, 0, -signal.SIGTERM)}
        return sorted(index for pid, index in self._pairs() if pid in ended and index != _IDLE) or self.indices()

    def _pairs(self) -> list[tuple[int, int]]:
        values = list(self.slots)
        return list(zip(values[::2], values[1::2], strict=True))


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[tuple[ProcessPoolExecutor, _Current]]:
    """A pool that ends with the block: on an error its processes are terminated."""
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    slots, started = context.RawArray("q", 2 * workers), context.Value("i", 0)
    for slot in range(workers):
        slots[2 * slot + 1] = _IDLE
    current = _Current(slots)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_child, initargs=(slots, started))
    current.processes = pool._processes  # the only access to their exit codes
    try:
        yield pool, current
    except BaseException:
        children = list(current.processes.values())
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()
        for child in children:
            child.join(5)
        raise
    else:
        pool.shutdown(wait=True)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Ctrl-C in processes started inside the block until they have installed their handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_slots: Any = None
_slot = 0


def _start_child(slots: Any, started: Any) -> None:
    """Set up a worker process: ignore Ctrl-C (the parent handles it), use one thread, end with the parent."""
    import multiprocessing

    global _slots, _slot
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        end_with_parent(parent.pid)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # before NumPy and torch are imported
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    with started.get_lock():
        _slots, _slot = slots, started.value
        started.value += 1
    _slots[2 * _slot] = os.getpid()


def _work_on(work: Callable[[T], R], index: int, item: T) -> R:
    """Process an item in a worker process and publish its index meanwhile."""
    _slots[2 * _slot + 1] = index
    try:
        return work(item)
    finally:
        _slots[2 * _slot + 1] = _IDLE
