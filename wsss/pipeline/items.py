"""Per-image work: what is still to do, and doing it inline or in a pool of processes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from wsss.errors import InvalidInput, RunFailed, WsssError, listing, together
from wsss.io.atomic import explain_os_errors
from wsss.pipeline.explain import full_disk
from wsss.pipeline.stage import Context

T = TypeVar("T")
R = TypeVar("R")

REPAIR = "Repair or remove the images that failed and run the same command again: finished work is kept."

AHEAD = 4
"""Items handed to the pool per process beyond the one it works on."""


class Pending(list[T]):
    """Items that are still to do, and how many are finished.

    Args:
        items: this rank's items that are still to do.
        done: number of this rank's items that an earlier run has finished.
        all_done, total: number of finished items, and of all, of all ranks.
    """

    def __init__(self, items: Sequence[T], *, done: int, all_done: int, total: int) -> None:
        super().__init__(items)
        self.done, self.all_done, self.total = done, all_done, total


def pending(
    ctx: Context[Any], items: Sequence[T], output: Callable[[T], Path], readable: Callable[[Path], Any]
) -> Pending[T]:
    """Return this rank's items whose output is not there, or is broken.

    Args:
        ctx: the stage's context.
        items: all items of the stage, in order (every rank gives the same).
        output: item → its file.
        readable: reads a file and raises `InvalidInput` when it is broken; such a file is deleted with a warning.
    """
    left = []
    mine = ctx.ranks.shard(items)
    for item in mine:
        path = output(item)
        if path.is_file():
            try:
                readable(path)
                continue
            except InvalidInput as error:
                ctx.log(f"warning: {error.message} It is made again.")
                with explain_os_errors(path):
                    path.unlink(missing_ok=True)
        left.append(item)
    done = len(mine) - len(left)
    all_done = done if len(mine) == len(items) else sum(output(item).is_file() for item in items)
    return Pending(left, done=done, all_done=all_done, total=len(items))


def log_resume(ctx: Context[Any], done: int, total: int) -> None:
    """Log how many items an earlier run has finished, if any; on the first rank only."""
    if done and ctx.ranks.rank == 0:
        ctx.log(f"{ctx.out.name}: resumed at {done}/{total}")


def map_items(ctx: Context[Any], items: Sequence[T], work: Callable[[T], R], description: str) -> list[R]:
    """Return ``work(item)`` for every item, in the order of ``items``.

    With more than one worker the work is done in processes that are started afresh (``spawn``), so ``work`` and its
    results have to be picklable: a function at the top of a module, or a `functools.partial` of one, returning small
    values. Results do not depend on the number of workers.

    Args:
        ctx: gives workers and progress.
        items: what to work on.
        work: called once per item.
        description: what the progress bar says.

    Raises:
        InvalidInput: ``work`` raised it for some items; all others are finished first, and the message names all that
            failed.
        WsssError: ``work`` raised it, or another exception, or a process was killed; the other items are cancelled.
    """
    done = 0
    if isinstance(items, Pending):
        log_resume(ctx, items.all_done, items.total)
        done = items.done
    advance = ctx.progress.track(description, done + len(items), done)
    failed: dict[int, WsssError] = {}
    if ctx.workers <= 1 or len(items) <= 1:
        results = _inline(items, work, advance, failed)
    else:
        results = _pooled(items, work, min(ctx.workers, len(items)), advance, failed)
    if failed:
        raise together([failed[index] for index in sorted(failed)], len(items), "images failed", hint=REPAIR)
    return [results[index] for index in range(len(items))]


def item_name(item: object) -> str:
    """Return what to call an item in a message: its ``id``, a path's name, or its text."""
    if isinstance(item, Path):
        return item.name
    return str(getattr(item, "id", item))


def _inline(
    items: Sequence[T], work: Callable[[T], R], advance: Callable[[int], None], failed: dict[int, WsssError]
) -> dict[int, R]:
    results: dict[int, R] = {}
    for index, item in enumerate(items):
        try:
            results[index] = work(item)
        except Exception as error:
            _note(failed, index, item, error)
        advance(1)
    return results


def _note(failed: dict[int, WsssError], index: int, item: object, error: Exception) -> None:
    """Remember why an item failed where the fault is its own; raise what would stop the others, too."""
    named = _named(item, error)
    if not isinstance(named, InvalidInput):
        raise named from error
    failed[index] = named


def _pooled(
    items: Sequence[T],
    work: Callable[[T], R],
    workers: int,
    advance: Callable[[int], None],
    failed: dict[int, WsssError],
) -> dict[int, R]:
    results: dict[int, R] = {}
    waiting = iter(enumerate(items))
    running: dict[Future[R], int] = {}
    with _pool(workers) as pool:
        while True:
            while len(running) < workers * (1 + AHEAD) and (following := next(waiting, None)) is not None:
                index, item = following
                running[_submit(pool, work, item, [items[i] for i in running.values()])] = index
            if not running:
                return results
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(finished, key=running.__getitem__):
                try:
                    results[running[future]] = future.result()
                except BrokenProcessPool as error:
                    raise _killed([items[index] for index in sorted(running.values())]) from error
                except Exception as error:
                    _note(failed, running[future], items[running[future]], error)
                del running[future]
                advance(1)


def _submit(pool: ProcessPoolExecutor, work: Callable[[T], R], item: T, running: Sequence[T]) -> Future[R]:
    try:
        return pool.submit(work, item)
    except BrokenProcessPool as error:
        raise _killed([*running, item]) from error


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that is gone when the block ends: on an error its processes are stopped rather than waited for."""
    import multiprocessing

    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_child)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
            child.join(5)
        raise
    else:
        pool.shutdown(wait=True)


def _start_child() -> None:
    """Set up a worker process: Ctrl-C is the parent's affair, one thread each, and no life after the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # before NumPy and torch are imported: the processes share the cores
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End this process when its parent is gone; a killed parent can't say so."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _named(item: object, error: Exception) -> WsssError:
    """Return an error that names the item."""
    name = item_name(item)
    if isinstance(error, WsssError):
        message = error.message if name in error.message else f"{name}: {error.message}"
        return type(error)(message, mend=error.mend)
    full = full_disk(error, Path(name))
    if full is not None:
        return RunFailed(f"{name}: {full.message}", mend=full.mend)
    return RunFailed(f"{name}: {type(error).__name__}: {error}")


def _killed(items: Sequence[object]) -> RunFailed:
    return RunFailed(
        f"A worker process ended without a word while it worked on one of: {listing(map(item_name, items), limit=12)}.",
        mend="Most often memory ran out: run the same command again with fewer --workers; finished work is kept.",
    )
