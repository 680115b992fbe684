"""Worker processes that are kept from one call to the next, and worker threads."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from clocks import wait_until
from killing import is_alive
from processids import process_of
from test_items import context, fail_at
from toys import TOYS, make_toy_data, open_toy_data

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.config.source import parse_yaml
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.processes import worker_processes
from wsss.pipeline.processes.worker_processes import kept_count, kept_processes
from wsss.pipeline.run.execute import run_pipeline
from wsss.pipeline.run.items import map_items
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.task import Session
from wsss.pipeline.stage import Context, Result

TEXT = """\
name: toy
data: {root: d}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  again: {uses: make, with: {n: 4, split: train, text: other}}
"""


def processes(ctx: Context[Any], items: int = 4) -> set[int]:
    return set(map_items(ctx, list(range(items)), process_of, "x"))


def wait_for_end(pid: int) -> None:
    wait_until(lambda: not is_alive(pid), 60)


@pytest.mark.slow
def test_processes_are_kept_to_the_end_of_the_block(tmp_path: Path) -> None:
    ctx = context(tmp_path, 2)
    with kept_processes():
        first = processes(ctx)
        assert len(first) == kept_count() == 2
        assert processes(ctx) == first == processes(ctx, items=2)
    assert kept_count() == 0 and not any(map(is_alive, first))
    assert not processes(ctx) & first and kept_count() == 0


@pytest.mark.slow
def test_a_process_killed_while_idle_is_replaced(tmp_path: Path) -> None:
    ctx = context(tmp_path, 2)
    with kept_processes():
        first = processes(ctx)
        os.kill(min(first), signal.SIGKILL)
        wait_for_end(min(first))
        second = processes(ctx)
        assert len(second) == 2 and not second & first
    assert not any(map(is_alive, first | second))


@pytest.mark.slow
def test_processes_end_after_an_error_of_the_machine_only(tmp_path: Path) -> None:
    ctx = context(tmp_path, 2)
    with kept_processes():
        first = processes(ctx)
        with pytest.raises(InvalidInput):
            map_items(ctx, list(range(6)), partial(fail_at, bad=3, kind="input"), "x")
        assert processes(ctx) == first
        with pytest.raises(RunFailed):
            map_items(ctx, list(range(6)), partial(fail_at, bad=3, kind="full"), "x")
        assert kept_count() == 0 and not any(map(is_alive, first))
        assert len(processes(ctx)) == 2


def test_an_error_between_calls_ends_the_processes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), kept_processes():
        first = processes(context(tmp_path, 2))
        raise KeyboardInterrupt
    assert not any(map(is_alive, first))


def test_a_run_has_one_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")
    seen: list[set[int]] = []

    def make(ctx: Context[Any]) -> Result:
        seen.append(processes(ctx))
        return TOYS["make"].run(ctx)

    toys = {**TOYS, "make": replace(TOYS["make"], run=make)}
    session = Session(tmp_path / "run", workers=2, reporter=Reporter(io.StringIO()))
    result = run_pipeline(spec_from(parse_yaml(TEXT, "p.yaml")), toys, session=session, open_data=open_toy_data)
    assert result.status == "done"
    assert len(seen) == 2 and seen[0] == seen[1] and len(seen[0]) == 2
    assert not any(map(is_alive, seen[0]))


def test_threads_share_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(worker_processes, "WorkerProcesses")
    both = threading.Barrier(2, timeout=20)

    def thread_of(item: int) -> tuple[int, int]:
        both.wait()  # until two items are being processed
        return item, threading.get_ident()

    result = map_items(context(tmp_path, 2), list(range(6)), thread_of, "x", threads=True)
    assert [item for item, _ in result] == list(range(6))
    assert len({thread for _, thread in result}) == 2 and threading.get_ident() not in {thread for _, thread in result}


@pytest.mark.parametrize(("kind", "error"), [("input", InvalidInput), ("bug", RunFailed), ("full", RunFailed)])
def test_errors_in_threads_name_their_item(tmp_path: Path, kind: str, error: Any) -> None:
    with pytest.raises(error) as caught:
        map_items(context(tmp_path, 2), list(range(6)), partial(fail_at, bad=3, kind=kind), "x", threads=True)
    assert caught.value.subject.startswith("3")


def test_threads_are_limited_by_the_memory_of_their_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.pipeline.processes.pool.available_bytes", lambda: 1000)
    lines: list[str] = []
    running: set[int] = set()

    def alone(item: int) -> bool:
        running.add(item)
        time.sleep(0.02)
        result = running == {item}
        running.remove(item)
        return result

    ctx = context(tmp_path, 3, log=lines.append)
    assert all(map_items(ctx, list(range(5)), alone, "x", memory=lambda item: 500, threads=True))
    assert len(lines) == 1


def test_an_interrupt_waits_for_the_items_of_threads(tmp_path: Path) -> None:
    finished = []

    def work(item: int) -> None:
        if item == 2:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        finished.append(item)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            map_items(context(tmp_path, 2), list(range(50)), work, "x", threads=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert {0, 1, 2} <= set(finished) < set(range(6))
    assert not any(thread.name.startswith("wsss-worker") for thread in threading.enumerate())
