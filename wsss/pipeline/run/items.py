"""Per-image work: the items that are left, and processing them in this process or in a pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from wsss.errors import InvalidInput, RunFailed, WsssError, together
from wsss.io.files.atomic import convert_os_errors
from wsss.io.files.contained import delete_file
from wsss.io.process.cores import processes_here
from wsss.io.process.shared_state import set_current_items
from wsss.pipeline.processes.pool import Pool
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
        total: number of items of all ranks.
    """

    def __init__(self, items: Sequence[T], *, done: int, total: int) -> None:
        super().__init__(items)
        self.done, self.total = done, total


def pending(
    ctx: Context[Any], items: Sequence[T], output: Callable[[T], Path], check: Callable[[T], Any]
) -> Pending[T]:
    """Return this rank's items whose output is missing or damaged.

    Args:
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
    return Pending(left, done=len(own) - len(left), total=len(items))


def log_resume(ctx: Context[Any], done: int, total: int) -> None:
    """Log the number of items that an earlier run has finished, if any; called by every rank before it begins.

    Counting files would be wrong: a rank that is ahead has already written some in this run.

    Args:
        ctx: context of the stage; the first rank logs.
        done: number of this rank's finished items.
        total: number of items of all ranks.
    """
    finished = sum(ctx.ranks.gather(done))
    if finished and ctx.ranks.rank == 0:
        ctx.log(f"{ctx.out.name}: resumed at {finished}/{total}")


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

    The items are either `pending` ones (this rank's share; failures are exchanged with the other ranks) or any items of
    this rank alone. For items that all ranks have, see `map_shared`.

    With several workers, ``work`` runs in spawned processes: it and its results have to be picklable (a function at the
    top of a module, or a `functools.partial` of one, that returns small values). Threads share this process: they need
    no time to start, and suit work that runs mostly outside of Python. Results do not depend on the number of workers.
    If their memory exceeds what is available, fewer items are processed at a time, and the log mentions it.

    Args:
        ctx: context with workers, progress and log.
        memory: item → estimated peak memory of ``work`` in bytes; called just before the item is submitted.
        threads: run ``work`` in threads, not processes; after an interrupt or an error, items that have begun are
            finished.

    Raises:
        InvalidInput: ``work`` raised it for some items; all others are finished first, and the message lists the items
            that failed, of all ranks.
        WsssError: ``work`` raised it or another exception, or a process was killed; the other items are cancelled.
    """
    if not isinstance(items, Pending):
        results, failed = _map(ctx, items, work, description, 0, memory, threads)
        raise_failures([failed[index] for index in sorted(failed)], len(items))
        return [results[index] for index in range(len(items))]
    log_resume(ctx, items.done, items.total)
    results, failed = _map(ctx, items, work, description, items.done, memory, threads)
    of_ranks = ctx.ranks.gather(([failed[index] for index in sorted(failed)], len(items)))
    raise_failures([error for errors, _ in of_ranks for error in errors], sum(count for _, count in of_ranks))
    return [results[index] for index in range(len(items))]


def map_shared(
    ctx: Context[Any],
    items: Sequence[T],
    work: Callable[[T], R],
    description: str,
    *,
    memory: Callable[[T], int] | None = None,
) -> list[R]:
    """Divide items among the ranks, and return the results of all of them on every rank.

    Each rank processes the items that `pending` assigns to it, so that it reads the files that it has written itself,
    except those of stages that work in batches.

    Args:
        ctx, work, description, memory: see `map_items`.
        items: the same items on every rank; called by every rank.

    Returns:
        ``work(item)`` for every item, in the order of ``items``.

    Raises:
        InvalidInput, WsssError: see `map_items`.
    """
    own = ctx.ranks.shard(range(len(items)))
    results, failed = _map(ctx, [items[index] for index in own], work, description, 0, memory, False)
    every = _merged(ctx.ranks.gather({own[index]: result for index, result in results.items()}))
    errors = _merged(ctx.ranks.gather({own[index]: error for index, error in failed.items()}))
    raise_failures([errors[index] for index in sorted(errors)], len(items))
    return [every[index] for index in range(len(items))]


def _merged(parts: Sequence[Mapping[int, R]]) -> dict[int, R]:
    return {index: value for part in parts for index, value in part.items()}


def raise_failures(errors: Sequence[WsssError], total: int) -> None:
    """Raise one error for the items that failed, if any.

    Args:
        errors: one per item that failed.
        total: number of all items.

    Raises:
        InvalidInput: an item failed; lists the errors.
    """
    if errors:
        raise together(errors, total, "images failed", hint=REPAIR)


def _map(
    ctx: Context[Any],
    items: Sequence[T],
    work: Callable[[T], R],
    description: str,
    done: int,
    memory: Callable[[T], int] | None,
    threads: bool,
) -> tuple[dict[int, R], dict[int, WsssError]]:
    """Return index → result, and index → error, of the items of this rank."""
    advance = ctx.progress.track(description, done + len(items), done)
    failed: dict[int, WsssError] = {}
    if ctx.workers <= 1 or len(items) <= 1:
        results = _run_here(items, work, advance, failed)
    else:
        pool = Pool(
            items,
            work,
            threads=threads,
            name=item_name,
            memory=memory,
            log=ctx.log,
            workers=ctx.workers,
            processes=processes_here(ctx.ranks.size),
        )
        results = pool.run(advance, partial(_collect, failed))
    return results, failed


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
