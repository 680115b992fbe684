"""Worker processes, and the item that each of them is processing."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

from wsss.io.process.orphans import end_with_parent

T = TypeVar("T")
R = TypeVar("R")

_IDLE = -1
"""Index of the item of an idle process."""


class WorkerProcesses:
    """A pool of processes, started as they are needed.

    Args:
        count: maximum number of processes.
    """

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        # For every process, its id and the index of its item.
        self.slots, started = context.RawArray("q", 2 * count), context.Value("i", 0)
        for slot in range(count):
            self.slots[2 * slot + 1] = _IDLE
        setup = (self.slots, started)
        self.count = count
        self.pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start_child, initargs=setup)
        self.processes: Mapping[int, Any] = self.pool._processes  # the only access to their exit codes

    def submit(self, work: Callable[[T], R], index: int, item: T) -> Future[R]:
        """Submit an item to the pool, which starts a process for it if none is idle."""
        with _without_interrupts():
            return self.pool.submit(_work_on, work, index, item)

    def indices(self) -> list[int]:
        """Return the indices of the items that are being processed, in order."""
        return sorted(index for pid, index in self._pairs() if pid and index != _IDLE)

    def killed(self) -> list[int]:
        """Return the indices of the items whose processes were killed from outside this program."""
        ended = {pid for pid, code in self._exit_codes() if code not in (0, -signal.SIGTERM)}
        return sorted(index for pid, index in self._pairs() if pid in ended and index != _IDLE) or self.indices()

    def failed_to_start(self) -> bool:
        """Return whether a process of a broken pool ended by itself without an item.

        It could not import the calling program or load the work, such as a function defined in a notebook.
        """
        ended = {pid for pid, code in self._exit_codes() if code >= 0}  # signals are negative
        return bool(ended - {pid for pid, index in self._pairs() if index != _IDLE})

    def all_alive(self) -> bool:
        """Return whether no process that was started has ended."""
        return all(process.is_alive() for process in self.processes.values())

    def end(self) -> None:
        """End the processes once they have finished their items."""
        self.pool.shutdown(wait=True)

    def terminate(self) -> None:
        """End the processes at once."""
        children = list(self.processes.values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()
        for child in children:
            child.join(5)

    def _exit_codes(self) -> list[tuple[int, int]]:
        """Return process id and exit code of every process that has ended."""
        for process in self.processes.values():
            process.join(1)
        return [(pid, process.exitcode) for pid, process in self.processes.items() if process.exitcode is not None]

    def _pairs(self) -> list[tuple[int, int]]:
        values = list(self.slots)
        return list(zip(values[::2], values[1::2], strict=True))


@contextlib.contextmanager
def worker_processes(count: int) -> Iterator[WorkerProcesses]:
    """Provide up to ``count`` processes until the end of the block; after an error they are terminated.

    Inside `kept_processes`, those of the previous block are reused.
    """
    kept = _kept.get()
    workers = WorkerProcesses(count) if kept is None else _take(kept, count)
    try:
        yield workers
    except BaseException:
        workers.terminate()
        raise
    if kept is None:
        workers.end()
    else:
        kept.append(workers)


@contextlib.contextmanager
def kept_processes() -> Iterator[None]:
    """Keep processes from one `worker_processes` block to the next, since starting them takes about a second each."""
    kept: list[WorkerProcesses] = []
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        for workers in kept:
            workers.end()


def kept_count() -> int:
    """Return the number of running processes that the next `worker_processes` block reuses."""
    return sum(len(workers.processes) for workers in _kept.get() or ())


_kept: ContextVar[list[WorkerProcesses] | None] = ContextVar("kept_processes", default=None)
"""The idle pool, if there is one, inside `kept_processes`. Threads with runs of their own have pools of their own."""


def _take(kept: list[WorkerProcesses], count: int) -> WorkerProcesses:
    """Return the kept pool, or a new one if it has another size or one of its processes was killed while idle."""
    while kept:
        workers = kept.pop()
        if workers.count == count and workers.all_alive():
            return workers
        workers.end()
    return WorkerProcesses(count)


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
