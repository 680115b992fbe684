"""Per-image work: what is still to do, and doing it inline or in a pool of processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from wsss.errors import InvalidInput, RunFailed, WsssError, together
from wsss.io.files.atomic import explain_os_errors
from wsss.io.files.contained import delete_file
from wsss.io.process.shared_state import working_on
from wsss.pipeline.processes.pool import run_in_pool
from wsss.pipeline.run.error_hints import explained
from wsss.pipeline.stage import Context

T = TypeVar("T")
R = TypeVar("R")

REPAIR = "Repair or remove the images that failed and run the same command again: finished work is kept."


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
    ctx: Context[Any], items: Sequence[T], output: Callable[[T], Path], check: Callable[[T], Any]
) -> Pending[T]:
    """Return this rank's items whose output is not there, or is broken.

    Args:
        ctx: the stage's context.
        items: all items of the stage, in order (every rank gives the same).
        output: item → its file.
        check: reads an item's file and raises `InvalidInput` when it is no result of it; such a file is deleted with a
            warning.
    """
    left = []
    mine = ctx.ranks.shard(items)
    for item in mine:
        path = output(item)
        if path.is_file():
            try:
                check(item)
                continue
            except InvalidInput as error:
                ctx.log(f"warning: {error.message} It is made again.")
                with explain_os_errors(path):
                    delete_file(path)
        left.append(item)
    done = len(mine) - len(left)
    all_done = done if len(mine) == len(items) else sum(output(item).is_file() for item in items)
    return Pending(left, done=done, all_done=all_done, total=len(items))


def log_resume(ctx: Context[Any], done: int, total: int) -> None:
    """Log how many items an earlier run has finished, if any; on the first rank only."""
    if done and ctx.ranks.rank == 0:
        ctx.log(f"{ctx.out.name}: resumed at {done}/{total}")


def map_items(
    ctx: Context[Any],
    items: Sequence[T],
    work: Callable[[T], R],
    description: str,
    *,
    memory: Callable[[T], int] | None = None,
) -> list[R]:
    """Return ``work(item)`` for every item, in the order of ``items``.

    With more than one worker the work is done in processes that are started afresh (``spawn``), so ``work`` and its
    results have to be picklable: a function at the top of a module, or a `functools.partial` of one, returning small
    values. Results do not depend on the number of workers. Where the memory of all of them would exceed what is
    available, fewer items are worked on at a time, and the log says so.

    Args:
        ctx: gives workers, progress and log.
        items: what to work on.
        work: called once per item.
        description: what the progress bar says.
        memory: item → estimate of the bytes that the work on it needs at most; called when its turn has come.

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
        results = run_in_pool(
            items,
            work,
            workers=min(ctx.workers, len(items)),
            advance=advance,
            name=item_name,
            memory=memory,
            log=ctx.log,
            failed=partial(_note, failed),
        )
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
        working_on([item_name(item)])
        try:
            results[index] = work(item)
        except Exception as error:
            _note(failed, index, item, error)
        advance(1)
    working_on([])
    return results


def _note(failed: dict[int, WsssError], index: int, item: object, error: Exception) -> None:
    """Remember why an item failed where the fault is its own; raise what would stop the others, too."""
    named = _named(item, error)
    if not isinstance(named, InvalidInput):
        raise named from error
    failed[index] = named


def _named(item: object, error: Exception) -> WsssError:
    """Return an error that names the item."""
    name = item_name(item)
    if isinstance(error, WsssError):
        message = error.message if name in error.message else f"{name}: {error.message}"
        return type(error)(message, hint=error.hint)
    known = explained(error, Path(name))
    if known is not None:
        return RunFailed(f"{name}: {known.message}", hint=known.hint)
    return RunFailed(f"{name}: {type(error).__name__}: {error}")
