"""Page faults and memory of a process that frees and allocates large blocks, in processes of their own."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from wsss.io.process import retained_memory as module

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")

PAGES = 16384
SCRIPT = """
import ctypes, os, resource
from wsss.io.process.retained_memory import retained_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
size = {pages} * resource.getpagesize()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size + 4096)
    ctypes.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

before = resident()
with retained_memory():
    print(faults(), faults(), resident() - before)
print(resident() - before, faults(), faults())
"""


def measured(**environment: str) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(pages=PAGES)],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "PYTHONPATH": ":".join(sys.path)},
    )
    return [int(word) for word in done.stdout.split()]


@pytest.fixture(autouse=True)
def _small_pages() -> None:
    """Transparent huge pages would count as one fault per 512 pages."""
    try:
        mode = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="utf-8")
    except OSError:
        return
    if "[always]" in mode:
        pytest.skip("transparent huge pages are always on")


def test_freed_memory_is_used_again_and_returned_at_the_end() -> None:
    first, second, held, left, third, fourth = measured()
    assert first >= 0.9 * PAGES and second < PAGES / 50
    assert held >= 0.9 * PAGES and left < PAGES / 10
    assert third >= 0.9 * PAGES and fourth >= 0.9 * PAGES  # more than is kept by default


def test_the_variable_leaves_the_allocator_as_it_is() -> None:
    first, second, held, left, *_ = measured(**{module.VARIABLE: "0"})
    assert first >= 0.9 * PAGES and second >= 0.9 * PAGES
    assert held < PAGES / 10 and left < PAGES / 10


def test_other_systems_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "darwin")
    monkeypatch.setattr(module.ctypes, "CDLL", lambda name: pytest.fail("loaded the C library"))
    with module.retained_memory():
        pass
