from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from clocks import wait_until
from killing import is_alive
from toycli import environment

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.processes.ranks import DistributedRanks, SingleRank
from wsss.pipeline.run.items import REPAIR, item_name, map_items, map_shared, pending
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.stage import Context, StageConfig


class Counter:
    def __init__(self) -> None:
        self.total, self.done = 0, 0

    def track(self, description: str, total: int, done: int = 0) -> Any:
        self.total = total

        def advance(steps: int) -> None:
            self.done += steps

        return advance


def context(out: Path, workers: int = 1, progress: Any = None, ranks: Any = None, log: Any = print) -> Context[Any]:
    return Context(
        config=StageConfig(),
        out=out,
        inputs={},
        data=None,
        seed=0,
        device="cpu",
        workers=workers,
        progress=progress or Reporter(quiet=True),
        ranks=ranks or SingleRank(),
        log=log,
        run_dir=out,
    )


def square(item: int) -> int:
    return item * item


def slow_first(item: int, seconds: float) -> int:
    time.sleep(seconds if item == 0 else 0)
    return item


def fail_at(item: int, bad: int, kind: str) -> int:
    if item == bad:
        if kind == "input":
            raise InvalidInput("broken.", hint="Repair it.")
        if kind == "full":
            raise OSError(28, "No space left on device", "/somewhere/file")
        raise KeyError("bug")
    return item


def die_at(item: int, bad: int) -> int:
    if item == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_in_order(tmp_path: Path, workers: int) -> None:
    progress = Counter()
    items = list(range(30))
    assert map_items(context(tmp_path, workers, progress), items, square, "squares") == [i * i for i in items]
    assert (progress.total, progress.done) == (30, 30)


@pytest.mark.slow
def test_order_does_not_depend_on_speed(tmp_path: Path) -> None:
    assert map_items(context(tmp_path, 2), list(range(8)), partial(slow_first, seconds=0.5), "x") == list(range(8))


def test_no_items(tmp_path: Path) -> None:
    assert map_items(context(tmp_path, 4), [], square, "squares") == []


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("kind", "type", "problem", "hint"),
    [
        ("input", InvalidInput, "broken.", "Repair it."),
        ("bug", RunFailed, "KeyError: 'bug'", None),
        ("full", RunFailed, "/somewhere/file", "Free some space"),
    ],
)
def test_an_error_names_the_item(
    tmp_path: Path, workers: int, kind: str, type: Any, problem: str, hint: str | None
) -> None:
    with pytest.raises(type) as error:
        map_items(context(tmp_path, workers), list(range(6)), partial(fail_at, bad=3, kind=kind), "x")
    assert (error.value.subject or "").startswith("3") and problem in error.value.message
    assert (error.value.hint or "").startswith(hint or "")


def test_a_killed_worker_names_its_item(tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as caught:
        map_items(context(tmp_path, 2), list(range(40)), partial(die_at, bad=5), "x")
    assert " 5;" in caught.value.problem and "--workers" in str(caught.value.hint)


def test_an_error_of_the_machine_stops_the_other_workers(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(RunFailed):
        map_items(context(tmp_path, 2), [3, 0, 0, 0], partial(fail_or_sleep, seconds=120.0), "x")
    assert time.monotonic() - begun < 60


def touch_or_fail(item: int, out: Path) -> None:
    if item in (1, 4):
        raise InvalidInput(f"{out}/{item}: broken.")
    (out / str(item)).touch()


@pytest.mark.parametrize("workers", [1, 2])
def test_all_valid_items_are_finished_before_invalid_ones_are_listed(tmp_path: Path, workers: int) -> None:
    progress = Counter()
    with pytest.raises(InvalidInput) as caught:
        map_items(context(tmp_path, workers, progress), list(range(6)), partial(touch_or_fail, out=tmp_path), "x")
    assert {path.name for path in tmp_path.iterdir()} == {"0", "2", "3", "5"}
    assert [one.problem for one in caught.value.errors] == [f"{tmp_path}/1: broken.", f"{tmp_path}/4: broken."]
    assert caught.value.problem.startswith("2 of 6 ") and caught.value.hint == REPAIR
    assert progress.done == progress.total == 6


def test_many_failures_are_counted(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        map_items(context(tmp_path), list(range(30)), refuse, "x")
    assert (
        len(caught.value.errors) == 30
        and caught.value.problem.endswith("\n  19: no.\n  and 10 more")
        and caught.value.hint == f"Use 5.\n{REPAIR}"
    )


def refuse(item: int) -> None:
    raise InvalidInput(f"{item}: no.", hint="Use 5.")


def fail_or_sleep(item: int, seconds: float) -> int:
    if item == 3:
        raise RunFailed("the disk is full.")
    time.sleep(seconds)
    return item


POOL = """
import sys, time
from functools import partial
from collections.abc import Callable
from pathlib import Path
from test_items import context, write_pid
from wsss.pipeline.run.items import map_items
if __name__ == "__main__":
    out = Path(sys.argv[1])
    map_items(context(out, 2), [0, 1], partial(write_pid, out=str(out)), "x")
"""


def write_pid(item: int, out: str) -> int:
    (Path(out) / f"{item}.pid").write_text(str(os.getpid()))
    time.sleep(120)
    return item


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    here = str(Path(__file__).parent)
    env = environment()
    env["PYTHONPATH"] = os.pathsep.join([here, env["PYTHONPATH"]])
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=env)
    files = [tmp_path / "0.pid", tmp_path / "1.pid"]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), 30)
    pids = [int(file.read_text()) for file in files]
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_alive, pids)), 30)


def read_in(folder: Path) -> Callable[[int], None]:
    def read(item: int) -> None:
        path = folder / str(item)
        if path.read_text() != "intact":
            raise InvalidInput(f"{path}: broken.")

    return read


def test_pending_items_lack_a_valid_output(tmp_path: Path) -> None:
    messages: list[str] = []
    (tmp_path / "1").write_text("intact")
    (tmp_path / "2").write_text("ho")
    result = pending(
        context(tmp_path, log=messages.append), [0, 1, 2, 3], lambda item: tmp_path / str(item), read_in(tmp_path)
    )
    assert result == [0, 2, 3]
    assert not (tmp_path / "2").exists()
    assert messages == [f"warning: {tmp_path / '2'}: broken. It is computed again."]


def test_pending_items_keep_their_rank(tmp_path: Path) -> None:
    items = list(range(10))

    def left() -> list[list[int]]:
        return [
            pending(
                context(tmp_path, ranks=DistributedRanks(rank, 3)),
                items,
                lambda i: tmp_path / str(i),
                read_in(tmp_path),
            )
            for rank in range(3)
        ]

    before = left()
    assert sorted(item for share in before for item in share) == items
    (tmp_path / "4").write_text("intact")
    assert left() == [[item for item in share if item != 4] for share in before]


def test_names_of_items() -> None:
    class Sample:
        id = "cat1"

    assert [item_name(x) for x in (Sample(), Path("a/b.png"), 3)] == ["cat1", "b.png", "3"]


@pytest.mark.slow
def test_an_interrupt_in_the_parent_stops_the_workers(tmp_path: Path) -> None:
    """Ctrl-C reaches the main thread while it waits for the pool."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    timer = threading.Timer(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    begun = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            map_items(context(tmp_path, 2), [0, 1], partial(write_pid, out=str(tmp_path)), "x")
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 60
    for file in tmp_path.glob("*.pid"):
        assert not is_alive(int(file.read_text()))


@pytest.mark.parametrize("workers", [1, 2])
def test_resumed_work_is_logged_and_shown(tmp_path: Path, workers: int) -> None:
    for item in (0, 1, 2, 5):
        (tmp_path / f"{item}.txt").write_text("intact")
    bars: list[tuple[int, int]] = []
    logged: list[str] = []

    class Bar(Counter):
        def track(self, description: str, total: int, done: int = 0) -> Any:
            bars.append((done, total))
            return super().track(description, total, done)

    ctx = context(tmp_path / "cam", workers, progress=Bar(), log=logged.append)
    left = pending(ctx, range(9), lambda item: tmp_path / f"{item}.txt", lambda path: None)
    assert left == [3, 4, 6, 7, 8]
    assert map_items(ctx, left, square, "squares") == [9, 16, 36, 49, 64]
    assert logged == ["cam: resumed at 4/9"] and bars == [(4, 9)]
    logged.clear()
    none = pending(ctx, range(20, 24), lambda item: tmp_path / f"{item}.txt", lambda path: None)
    map_items(ctx, none, square, "squares")
    assert logged == [] and bars[-1] == (0, 4)


class ThreadRanks(DistributedRanks):
    """Ranks that are threads of this process."""

    def __init__(self, rank: int, met: threading.Barrier, values: list[Any]) -> None:
        super().__init__(rank, met.parties)
        self.met, self.values = met, values

    def gather(self, value: Any) -> list[Any]:
        self.values[self.rank] = value
        self.met.wait(10)
        gathered = list(self.values)
        self.met.wait(10)
        return gathered


def on_ranks(count: int, work: Callable[[ThreadRanks], Any]) -> list[Any]:
    """Return the results, or the errors, of every rank."""
    met, values, results = threading.Barrier(count), [None] * count, [None] * count

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadRanks(rank, met, values))
        except InvalidInput as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_ranks_share_items_and_each_gets_all_results(tmp_path: Path, count: int) -> None:
    seen: list[int] = []

    def work(item: int) -> int:
        seen.append(item)
        return item * item

    results = on_ranks(count, lambda ranks: map_shared(context(tmp_path, ranks=ranks), range(5), work, "squares"))
    assert results == [[0, 1, 4, 9, 16]] * count
    assert sorted(seen) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shared", [False, True])
def test_every_rank_raises_the_failures_of_all(tmp_path: Path, shared: bool) -> None:
    """Otherwise the ranks without a failure would only report that another one ended."""

    def work(item: int) -> int:
        if item in (1, 4):
            raise InvalidInput("broken", subject=f"image {item}")
        return item

    def run(ranks: ThreadRanks) -> Any:
        ctx = context(tmp_path, ranks=ranks)
        if shared:
            return map_shared(ctx, range(5), work, "images")
        return map_items(ctx, pending(ctx, range(5), lambda item: tmp_path / str(item), int), work, "images")

    for error in on_ranks(2, run):
        assert isinstance(error, InvalidInput)
        assert [one.subject for one in error.errors] == (["image 1", "image 4"] if shared else ["image 4", "image 1"])
        assert error.problem.startswith("2 of 5 ") and error.hint == REPAIR


def test_several_ranks_count_the_finished_items_of_all(tmp_path: Path) -> None:
    for item in (0, 1, 3):
        (tmp_path / f"{item}.txt").write_text("intact")
    logged: list[str] = []

    def run(ranks: ThreadRanks) -> list[int]:
        ctx = context(tmp_path / "cam", ranks=ranks, log=logged.append)
        left = pending(ctx, range(6), lambda item: tmp_path / f"{item}.txt", lambda path: None)
        map_items(ctx, left, square, "squares")
        return list(left)

    assert on_ranks(2, run) == [[2, 4], [5]]
    assert logged == ["cam: resumed at 3/6"], "logged by the first rank only"


def test_items_that_another_rank_finishes_first_are_no_earlier_work(tmp_path: Path) -> None:
    """The second rank begins while the first one still checks its items."""
    logged: list[str] = []
    written = threading.Event()

    def write(item: int) -> None:
        (tmp_path / f"{item}.txt").write_text("intact")
        written.set()

    def run(ranks: ThreadRanks) -> None:
        ctx = context(tmp_path / "cam", ranks=ranks, log=logged.append)
        if ranks.rank == 0:
            written.wait(0.3)
        left = pending(ctx, range(4), lambda item: tmp_path / f"{item}.txt", lambda path: None)
        map_items(ctx, left, write, "writing")

    assert on_ranks(2, run) == [None, None]
    assert logged == [] and len(list(tmp_path.glob("*.txt"))) == 4
