"""The threads shared by matching and losses."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from clocks import wait_until

from wsss.topology.threads import in_threads


def alive() -> int:
    return sum(thread.name.startswith("wsss-topology") for thread in threading.enumerate())


@pytest.mark.parametrize("counts", [range(9, 1, -1), range(2, 10)], ids=["falling", "rising"])
def test_the_pool_is_as_large_as_the_largest_request(counts: range) -> None:
    most = max(8, alive())  # other tests may have asked for more
    for count in counts:
        for _ in range(3):
            assert in_threads(lambda item: item * item, range(count), count) == [i * i for i in range(count)]
    wait_until(lambda: alive() <= most, 10)  # those of a smaller pool end when they get to it
    assert alive() >= 1


def test_the_requested_number_of_threads_runs_in_parallel() -> None:
    meeting = threading.Barrier(5, timeout=20)  # breaks, and the call with it, if one of five is missing
    assert sorted(in_threads(lambda _: meeting.wait(), range(5), 5)) == [0, 1, 2, 3, 4]


def test_callers_that_share_the_threads_get_their_own_results() -> None:
    def call(start: int) -> list[int]:
        return in_threads(lambda item: (time.sleep(0.001), item)[1], range(start, start + 6), 2 + start % 4)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(call, range(60))) == [list(range(start, start + 6)) for start in range(60)]


def test_a_short_call_does_not_wait_for_a_long_one() -> None:
    released = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(in_threads, lambda _: released.wait(20), range(9), 9)
        try:
            begin = time.monotonic()
            assert in_threads(str, range(3), 3) == ["0", "1", "2"]
            assert time.monotonic() - begin < 10
        finally:
            released.set()
        assert all(long.result())
