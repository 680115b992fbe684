"""A function applied to items in threads, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_in_threads(
    work: Callable[[T], R], items: Iterable[T], *, workers: int, advance: Callable[[int], None]
) -> list[R]:
    """Return ``work(item)`` for every item, in order; for work that releases the GIL, such as decoding.

    Args:
        workers: number of threads; 0 counts as 1.
        advance: called with 1 for each result.
    """
    results = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for result in pool.map(work, items):
            results.append(result)
            advance(1)
    return results
