"""Compilation: announced, cached, and invalidated by a change of any file of the package; parallel kernels."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest

import wsss.topology
from wsss.topology import compiling
from wsss.topology.kernels.padded_layout import cells_of, set_cells


def test_importing_the_package_imports_neither_numba_nor_torch():
    code = "import sys, wsss.topology; raise SystemExit(bool({'numba', 'torch', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


def test_public_names():
    for name in wsss.topology.__all__:
        assert getattr(wsss.topology, name).__doc__
    with pytest.raises(AttributeError):
        _ = wsss.topology.barcodes


def test_a_slow_first_call_is_announced_once(capsys, monkeypatch):
    monkeypatch.setattr(compiling, "PATIENCE", 0.01)
    monkeypatch.setattr(compiling, "_announced", threading.Event())
    for _ in range(2):
        with compiling.announced():
            time.sleep(0.2)
    captured = capsys.readouterr()
    assert captured.err.count("Compiling numerical kernels") == 1
    assert captured.out == ""


def test_a_quick_first_call_is_not_announced(capsys, monkeypatch):
    monkeypatch.setattr(compiling, "_announced", threading.Event())
    with compiling.announced():
        pass
    assert capsys.readouterr().err == ""


@numba.njit
def _not_cached(x):
    return x + 1


def test_only_what_is_compiled_is_announced(capsys, monkeypatch):
    """Slow calls and code loaded from the cache are no compilation."""
    monkeypatch.setattr(compiling, "PATIENCE", 0.0)
    monkeypatch.setattr(compiling, "_announced", threading.Event())
    monkeypatch.setattr(compiling, "_loaded", set())

    def slow(x):
        time.sleep(0.2)
        return x

    assert compiling.call(slow, "int", 3) == 3
    assert capsys.readouterr().err == ""
    assert compiling.call(_not_cached, "int", 3) == 4
    deadline = time.monotonic() + 5
    while not compiling._announced.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert capsys.readouterr().err.count("Compiling numerical kernels") == 1
    monkeypatch.setattr(compiling, "_announced", threading.Event())
    monkeypatch.setattr(compiling, "_loaded", set())
    assert compiling.call(_not_cached, "int", 4) == 5  # already compiled in this process
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


_WARM_PROBE = """
from wsss.topology import compiling
compiling.PATIENCE = 0.0
import numpy as np
from wsss.topology import betti_numbers
print(betti_numbers(np.ones((4, 5), bool)).b0)
"""


@pytest.mark.slow
def test_a_warm_cache_prints_nothing(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    messages = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", _WARM_PROBE], env=environment, capture_output=True, text=True, timeout=900
        )
        assert run.returncode == 0 and run.stdout == "1\n", run.stderr
        messages.append(run.stderr)
    assert messages[0].count("Compiling numerical kernels") == 1
    assert messages[1] == ""


_CACHE_PROBE = """
import numpy as np
from wsss.topology.kernels.padded_layout import set_cells
flags = np.zeros(16, np.uint8); flags[[3, 9]] = 1
print(set_cells(flags, np.empty(16, np.uint64)), sum(set_cells.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_cached_code_is_used_until_any_file_of_the_package_changes(tmp_path):
    """Numba itself checks one file only, but a kernel includes the code of the kernels it calls."""
    package = tmp_path / "wsss"
    source = Path(wsss.topology.__file__).parent
    shutil.copytree(source, package / "topology", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source.parent / "errors.py", package / "errors.py")
    (package / "__init__.py").touch()
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def probe() -> str:
        run = subprocess.run(
            [sys.executable, "-c", _CACHE_PROBE],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.split()[1]

    assert probe() == "0"
    assert probe() == "1"
    other = package / "topology" / "kernels" / "unionfind.py"
    other.write_text(other.read_text() + "\n# changed\n")
    assert probe() == "0"
    assert probe() == "1"


_FULL = """
from numba.core.caching import IndexDataCacheFile
def full(*_): raise OSError(28, "No space left on device")
IndexDataCacheFile._save_data = full
"""

_FOREIGN = """
import os, pathlib
def refuse(*_, **__): raise PermissionError(1, "Operation not permitted")
pathlib.Path.unlink = os.replace = refuse
"""

_NO_FOLDER = """
import shutil
from wsss.topology.kernels.padded_layout import set_cells
folder = set_cells._cache.cache_path
shutil.rmtree(folder)
open(folder, "w").close()
"""

_ANOTHER_KIND = """
import numpy as np
from wsss.topology.kernels.padded_layout import set_cells
flags = np.zeros(16, np.uint8)
flags.flags.writeable = False
set_cells(flags, np.empty(16, np.uint64))
"""

_NO_MEMORY = """
from numba.core.caching import IndexDataCacheFile
def fail(*_): raise MemoryError
IndexDataCacheFile._load_data = fail
"""


def _probe(cache: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", before + _CACHE_PROBE], env=environment, capture_output=True, text=True, timeout=900
    )


def _probed(cache: Path, before: str = "") -> list[str]:
    """Return the result of a kernel, and the number of kernels loaded from the cache."""
    run = _probe(cache, before)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["empty index", "truncated index", "truncated code"])
def test_a_damaged_cache_is_replaced(tmp_path, damage):
    """Numba's files are not synchronised with the disk: a power failure leaves them empty."""
    assert _probed(tmp_path) == ["2", "0"]
    size = 0 if damage == "empty index" else 20
    for path in tmp_path.rglob("*.nbc" if damage == "truncated code" else "*.nbi"):
        os.truncate(path, size)
    assert _probed(tmp_path) == ["2", "0"]
    assert _probed(tmp_path) == ["2", "1"]


@pytest.mark.parametrize("before", [_FULL, _NO_FOLDER], ids=["full disk", "no folder"])
def test_kernels_run_without_a_cache_and_warn_once(tmp_path, before):
    run = _probe(tmp_path, before + _ANOTHER_KIND)
    assert run.stdout.split() == ["2", "0"], run.stderr
    (warning,) = [line for line in run.stderr.splitlines() if "kernels are not cached" in line]
    assert str(tmp_path) in warning
    assert ("No space left on device" if before == _FULL else "File exists") in warning


@pytest.mark.slow
def test_a_new_index_never_refers_to_code_of_old_source(tmp_path):
    """Numba writes the index first; after a change of the source it reuses the names of the old code."""
    assert _probed(tmp_path) == ["2", "0"]
    for index in tmp_path.rglob("*.nbi"):
        index.unlink()
    assert list(tmp_path.rglob("*.nbc"))
    assert _probed(tmp_path, _FULL) == ["2", "0"]
    assert _probed(tmp_path) == ["2", "0"]
    assert _probed(tmp_path) == ["2", "1"]


@pytest.mark.slow
def test_a_damaged_cache_of_another_user_is_ignored(tmp_path):
    """In a shared folder with the sticky bit, the files of others can be neither deleted nor replaced."""
    assert _probed(tmp_path) == ["2", "0"]
    for index in tmp_path.rglob("*.nbi"):
        os.truncate(index, 20)
    run = _probe(tmp_path, _FOREIGN)
    assert run.stdout.split() == ["2", "0"], run.stderr
    assert run.stderr.count("Operation not permitted") == 1


@pytest.mark.slow
def test_lack_of_memory_is_no_damage_of_the_cache(tmp_path):
    assert _probed(tmp_path) == ["2", "0"]
    run = _probe(tmp_path, _NO_MEMORY)
    assert run.returncode == 1 and run.stderr.rstrip().endswith("MemoryError")
    assert _probed(tmp_path) == ["2", "1"]


def test_set_cells_finds_all_flags_at_any_place():
    random = np.random.default_rng(0)
    flags = (random.random(cells_of(13, 17)) < 0.2).astype(np.uint8) * 4
    cells = np.empty(flags.size, np.uint64)
    count = set_cells(flags, cells)
    assert cells[:count].tolist() == np.flatnonzero(flags).tolist()


@pytest.mark.slow
def test_kernels_run_without_the_global_lock():
    """While one thread is in a kernel, Python code of another thread runs."""
    from wsss.topology import betti_matching

    pred, gt = np.random.default_rng(1).random((2, 1500, 1500)).astype(np.float32)
    betti_matching(pred[:8, :8], gt[:8, :8])
    spans, ticks, done = [], [], threading.Event()

    def work() -> None:
        start = time.perf_counter()
        betti_matching(pred, gt)
        spans.append((start, time.perf_counter()))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        ticks.append(time.perf_counter())
        time.sleep(0.002)
    thread.join()
    start, end = spans[0]
    middle = [tick for tick in ticks if start + 0.3 * (end - start) < tick < start + 0.7 * (end - start)]
    assert len(middle) >= 5
