"""Per-image work: the items that are left, and processing them in this process or in a pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from wsss.errors import InvalidInput, RunFailed, WsssError, together
from wsss.io.files.atomic import convert_os_errors
from wsss.io.files.contained import delete_file
from wsss.io.process.shared_state import set_current_items
from wsss.pipeline.processes.pool import run_in_pool
from wsss.pipeline.run.error_hints import machine_error
from wsss.pipeline.stage import Context

T = TypeVar("T")
R = TypeVar("R")

REPAIR = "Repair or remove the images that failed and run the same command again: finished work is kept."


class Pending(list[T]):
    """Items that are left, with the number of finished ones.

    Args:
        items: this rank's items that are left.
        done: number of this rank's items that an earlier run has finished.
        all_done, total: numbers of finished items and of all items of all ranks.
    """

    def __init__(self, items: Sequence[T], *, done: int, all_done: int, total: int) -> None:
        super().__init__(items)
        self.done, self.all_done, self.total = done, all_done, total


def pending(
    ctx: Context[Any], items: Sequence[T], output: Callable[[T], Path], check: Callable[[T], Any]
) -> Pending[T]:
    """Return this rank's items whose output is missing or damaged.

    Args:
        ctx: context of the stage.
        items: all items of the stage, in the same order on every rank.
        output: item → its file.
        check: reads an item's file and raises `InvalidInput` if it is not a valid result; such a file is deleted with a
            warning.
    """
    left = []
    own = ctx.ranks.shard(items)
    for item in own:
        path = output(item)
        if path.is_file():
            try:
                check(item)
                continue
            except InvalidInput as error:
                ctx.log(f"warning: {error.message} It is computed again.")
                with convert_os_errors(path):
                    delete_file(path)
        left.append(item)
    done = len(own) - len(left)
    all_done = done if len(own) == len(items) else sum(output(item).is_file() for item in items)
    return Pending(left, done=done, all_done=all_done, total=len(items))


def log_resume(ctx: Context[Any], done: int, total: int) -> None:
    """Log the number of items that an earlier run has finished, if any; on the first rank only."""
    if done and ctx.ranks.rank == 0:
        ctx.log(f"{ctx.out.name}: resumed at {done}/{total}")


def map_items(
    ctx: Context[Any],
    items: Sequence[T],
    work: Callable[[T], R],
    description: str,
    *,
    memory: Callable[[T], int] | None = None,
    threads: bool = False,
) -> list[R]:
    """Return ``work(item)`` for every item, in the order of ``items``.

    With several workers, ``work`` runs in spawned processes: it and its results have to be picklable (a function at the
    top of a module, or a `functools.partial` of one, that returns small values). Threads share this process: they need
    no time to start, and suit work that runs mostly outside of Python. Results do not depend on the number of workers.
    If their memory exceeds what is available, fewer items are processed at a time, and the log mentions it.

    Args:
        ctx: context with workers, progress and log.
        items: the items.
        work: called once per item.
        description: text of the progress bar.
        memory: item → estimated peak memory of ``work`` in bytes; called just before the item is submitted.
        threads: run ``work`` in threads, not processes; after an interrupt or an error, items that have begun are
            finished.

    Raises:
        InvalidInput: ``work`` raised it for some items; all others are finished first, and the message lists the items
            that failed.
        WsssError: ``work`` raised it or another exception, or a process was killed; the other items are cancelled.
    """
    done = 0
    if isinstance(items, Pending):
        log_resume(ctx, items.all_done, items.total)
        done = items.done
    advance = ctx.progress.track(description, done + len(items), done)
    failed: dict[int, WsssError] = {}
    if ctx.workers <= 1 or len(items) <= 1:
        results = _run_here(items, work, advance, failed)
    else:
        results = run_in_pool(
            items,
            work,
            workers=ctx.workers,
            threads=threads,
            advance=advance,
            name=item_name,
            memory=memory,
            log=ctx.log,
            on_error=partial(_collect, failed),
        )
    if failed:
        raise together([failed[index] for index in sorted(failed)], len(items), "images failed", hint=REPAIR)
    return [results[index] for index in range(len(items))]


def item_name(item: object) -> str:
    """Return the name of an item in messages: its ``id``, the name of a path, or its text."""
    return item.name if isinstance(item, Path) else str(getattr(item, "id", item))


def _run_here(
    items: Sequence[T], work: Callable[[T], R], advance: Callable[[int], None], failed: dict[int, WsssError]
) -> dict[int, R]:
    results: dict[int, R] = {}
    for index, item in enumerate(items):
        set_current_items([item_name(item)])
        try:
            results[index] = work(item)
        except Exception as error:
            _collect(failed, index, item, error)
        advance(1)
    set_current_items([])
    return results


def _collect(failed: dict[int, WsssError], index: int, item: object, error: Exception) -> None:
    """Collect an error of the item itself; raise one that concerns the other items too."""
    name = item_name(item)
    if not isinstance(error, WsssError):
        shown: WsssError = machine_error(error, Path(name)) or RunFailed(f"{type(error).__name__}: {error}")
    else:
        shown = error
    shown = shown if name in shown.message else shown.within(name)
    if not isinstance(shown, InvalidInput):
        raise shown from error
    failed[index] = shown
