"""Worker processes and memory: the number at a time, and the error for a killed one."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from test_items import context

from wsss.errors import RunFailed
from wsss.io.process.memory_budget import USABLE_FRACTION, WORKER_BYTES
from wsss.pipeline.processes.ranks import SingleRank
from wsss.pipeline.run.items import map_items

MIB = 1 << 20


def span(item: int, seconds: float, together: tuple[int, ...] = (), folder: str = "") -> tuple[float, float]:
    """Return the times of begin and end; items of ``together`` wait for each other, since processes may start late."""
    begin = time.monotonic()
    if item in together:
        Path(folder, f"begun-{item}").touch()
        while any(not Path(folder, f"begun-{other}").exists() for other in together) and time.monotonic() < begin + 60:
            time.sleep(0.02)
    time.sleep(seconds)
    return begin, time.monotonic()


def busiest(spans: list[tuple[float, float]]) -> int:
    """Return the maximum number of items processed at a time."""
    return max(sum(begin <= start < end for begin, end in spans) for start, _ in spans)


def offer(monkeypatch: pytest.MonkeyPatch, workers: int, beside: int) -> None:
    """Set the available memory to that of ``workers`` processes and ``beside`` bytes for items."""
    available = int((workers * WORKER_BYTES + beside) / USABLE_FRACTION) + 1
    monkeypatch.setattr("wsss.pipeline.processes.pool.available_bytes", lambda: available)


def needs(item: int, of_each: dict[int, int]) -> int:
    return of_each.get(item, MIB)


@pytest.mark.slow
def test_large_items_are_processed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, 3, 100 * MIB)
    lines: list[str] = []
    large = {3: 100 * MIB, 4: 5000 * MIB}
    ctx = context(tmp_path, 3, log=lines.append)
    work = partial(span, seconds=0.2, together=(0, 1, 2), folder=str(tmp_path))
    spans = map_items(ctx, list(range(8)), work, "maps", memory=partial(needs, of_each=large))
    assert busiest(spans) == 3
    for item in large:
        begin, end = spans[item]
        assert not any(other != item and begin < spans[other][1] and spans[other][0] < end for other in range(8))
    assert len(lines) == 1
    fewer, _, needed = lines[0].partition(" at a time: ")
    # The first large item fits without a note if the small ones end together.
    assert fewer == "note: fewer than 3 images" and needed.startswith(
        ("3 needs about 100 MiB", "4 needs about 4.9 GiB")
    )


@pytest.mark.slow
def test_ranks_on_one_machine_share_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each measures the memory at the same time: with a limit of its own, all together would exceed it."""
    lines: list[str] = []
    ctx = context(tmp_path, 2, log=lines.append)
    work, memory = partial(span, seconds=0.1), partial(needs, of_each={0: 100 * MIB, 1: 100 * MIB})
    offer(monkeypatch, 2, 300 * MIB)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    map_items(ctx, [0, 1], work, "maps", memory=memory)
    assert lines == []  # a single process
    monkeypatch.setattr(SingleRank, "size", 8)  # on two machines
    offer(monkeypatch, 2 * 4, 4 * 110 * MIB)
    assert busiest(map_items(ctx, [0, 1], work, "maps", memory=memory)) == 1
    assert len(lines) == 1 and "1 needs about 100 MiB" in lines[0]


def test_no_message_if_all_items_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, 2, 1000 * MIB)
    lines: list[str] = []
    ctx = context(tmp_path, 2, log=lines.append)
    map_items(ctx, list(range(20)), partial(span, seconds=0), "maps", memory=partial(needs, of_each={0: 999 * MIB}))
    assert lines == []


def test_fewer_processes_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, 1, 0)
    lines: list[str] = []
    spans = map_items(context(tmp_path, 3, log=lines.append), [0, 1, 2], partial(span, seconds=0.1), "maps")
    assert busiest(spans) == 1
    assert len(lines) == 1 and "fewer than 3" in lines[0]


def test_unknown_memory_limits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.pipeline.processes.pool.available_bytes", lambda: None)
    ctx = context(tmp_path, 2)
    huge = partial(needs, of_each={0: 1 << 50, 1: 1 << 50})
    work = partial(span, seconds=0.1, together=(0, 1), folder=str(tmp_path))
    assert busiest(map_items(ctx, [0, 1], work, "maps", memory=huge)) == 2


def die_at(item: int, bad: int, log: str) -> int:
    if item == bad:
        while len(list(Path(log).iterdir())) < 2:  # until the other process has an item
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)
    Path(log, str(item)).touch()
    time.sleep(0.3)
    return item


def test_a_killed_process_names_its_image_and_a_hint(tmp_path: Path) -> None:
    """The kernel kills one process; the image of the other is not named."""
    with pytest.raises(RunFailed) as caught:
        map_items(context(tmp_path, 2), list(range(40)), partial(die_at, bad=5, log=str(tmp_path)), "x")
    assert "processed 5;" in caught.value.problem
    assert caught.value.hint is not None
    assert "--workers 1" in caught.value.hint and "max_side" in caught.value.hint


class Unloadable:
    """Work that only this process can load, like a function that a notebook defines."""

    def __call__(self, item: int) -> int:
        return item

    def __reduce__(self) -> tuple[Any, ...]:
        return import_module, ("defined_in_another_process",)


def test_work_that_a_process_cannot_load_is_not_a_lack_of_memory(tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as caught:
        map_items(context(tmp_path, 2), [1, 2, 3], Unloadable(), "x", memory=partial(needs, of_each={}))
    assert "killed" not in caught.value.problem and "before it processed" in caught.value.problem
    assert caught.value.hint is not None and "__main__" in caught.value.hint and "workers=1" in caught.value.hint


def fail(item: int, error: Exception) -> None:
    raise error


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_failed_allocation_has_the_same_hint(tmp_path: Path, workers: int, error: Exception) -> None:
    with pytest.raises(RunFailed) as caught:
        map_items(context(tmp_path, workers), [7, 8], partial(fail, error=error), "x")
    assert caught.value.subject in ("7", "8") and caught.value.problem.startswith("Out of memory")
    assert "--workers 1" in str(caught.value.hint)


@pytest.mark.slow
def test_items_in_work_are_published(tmp_path: Path) -> None:
    from wsss.io.process.shared_state import current_items

    seen: list[list[str]] = []

    class Watch:
        def track(self, description: str, total: int, done: int = 0) -> Any:
            return lambda steps: seen.append(current_items())

    map_items(context(tmp_path, 1, Watch()), [3, 4], partial(span, seconds=0), "x")
    assert seen == [["3"], ["4"]]
    assert current_items() == []
    map_items(context(tmp_path, 2, Watch()), [5, 6, 7], partial(span, seconds=1.2), "x")
    assert any(set(one) & {"5", "6"} for one in seen[2:])
    assert current_items() == []


def test_the_same_results_with_any_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = []
    for beside in (0, 10 * MIB, 1 << 40):
        offer(monkeypatch, 2, beside)
        ctx = context(tmp_path, 2)
        result.append(map_items(ctx, list(range(9)), abs, "x", memory=partial(needs, of_each={4: 9 * MIB})))
    assert result == [list(range(9))] * 3
