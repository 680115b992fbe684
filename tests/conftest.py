"""Puts ``tests/support`` and ``docs`` on the path, and shares cores, files and compilation among the test processes.

Hypothesis' deadline of 200 ms per example is off: how long one takes says how busy the machine is, not what the code
does, and on a busy one a test failed for nothing else.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Each of several test processes (pytest-xdist) has a core of its own; OpenMP threads that wait for one would only spin.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started by nohup, or in the background of a shell, this process ignores signals, and so would those that it starts.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

# This process and those that it starts run the checkout, even if pip has copied it into the environment: compiled
# kernels are cached next to the modules, and would be compiled for each of the two.
CHECKOUT = str(Path(__file__).parents[1])
sys.path[:0] = [str(Path(__file__).parent / "support"), str(Path(CHECKOUT) / "docs"), CHECKOUT]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [CHECKOUT, os.environ.get("PYTHONPATH")]))

# Tests start hundreds of Python processes, each of which would compile all modules that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

hypothesis.settings.register_profile("wsss", deadline=None)
hypothesis.settings.load_profile("wsss")

# No test cuts the power, so none depends on whether a file has reached the disk. Tests that count or forbid calls of
# `os.fsync` replace it themselves.
os.fsync = lambda descriptor: None  # type: ignore[assignment]


def pytest_configure(config: pytest.Config) -> None:
    """Let several test processes share a server of preloaded commands."""
    import warm

    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        warm.share()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what the test modules consist of, a million objects, from being searched for garbage again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    """Let these objects be deleted when the process ends; extension modules report those that are not."""
    gc.unfreeze()


KERNELS = {"losses", "metrics", "topology"}
"""Folders of tests that use compiled kernels."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests, above all whole runs; end with kernels, which are compiled by then."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = Path(__file__).parent
    items.sort(key=lambda item: (item.path not in slow, item.path.parent != tests, item.path.parent.name in KERNELS))


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile the kernels in a process of the first of several workers, instead of in each of them."""
    folders = {item.path.parent.name for item in request.session.items}
    if os.environ.get("PYTEST_XDIST_WORKER") != "gw0" or not folders & KERNELS:
        yield
        return
    call = [sys.executable, "-c", "import wsss.topology; wsss.topology.warmup()"]
    with subprocess.Popen(call, stderr=subprocess.DEVNULL) as process:
        yield
        process.kill()


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory."""
    from killing import memory_folder

    with memory_folder(tmp_path_factory.mktemp("runs")) as folder:
        yield folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without windows."""
    from browser import browser

    with browser() as started:
        yield started
