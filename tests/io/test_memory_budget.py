"""Available memory, as reported by different systems."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from wsss.io.process.memory_budget import (
    USABLE_FRACTION,
    WORKER_BYTES,
    Budget,
    available_bytes,
    size_text,
    workers_that_fit,
)

GIB = 1 << 30


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """procfs of a machine with 8 GiB available and no cgroup."""
    write(tmp_path / "proc/meminfo", f"MemTotal: {16 * GIB // 1024} kB\nMemAvailable: {8 * GIB // 1024} kB")
    return tmp_path / "proc"


def test_machine_without_cgroups(proc: Path, tmp_path: Path) -> None:
    assert available_bytes(proc, tmp_path / "none") == 8 * GIB


def test_unknown_memory(tmp_path: Path) -> None:
    assert available_bytes(tmp_path, tmp_path) is None


def test_cgroup_v2_limit_without_reclaimable_cache(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/job/step")
    write(tmp_path / "cg/job/step/memory.max", 3 * GIB)
    write(tmp_path / "cg/job/step/memory.current", 2 * GIB)
    write(tmp_path / "cg/job/step/memory.stat", f"anon 1\ninactive_file {GIB // 2}\nactive_file 5")
    assert available_bytes(proc, tmp_path / "cg") == GIB + GIB // 2


def test_limit_of_a_parent_cgroup(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/job/step")
    write(tmp_path / "cg/job/step/memory.max", "max")
    write(tmp_path / "cg/job/step/memory.current", 1)
    write(tmp_path / "cg/job/memory.max", 2 * GIB)
    write(tmp_path / "cg/job/memory.current", GIB)
    assert available_bytes(proc, tmp_path / "cg") == GIB


def test_root_cgroup_in_a_container(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/docker/abc")
    write(tmp_path / "cg/memory.max", GIB)
    write(tmp_path / "cg/memory.current", GIB // 4)
    assert available_bytes(proc, tmp_path / "cg") == GIB - GIB // 4


def test_cgroup_v1_limit(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "9:name=systemd:/\n4:cpu,memory:/slurm/job\n0::/")
    folder = tmp_path / "cg/memory/slurm/job"
    write(folder / "memory.limit_in_bytes", 2 * GIB)
    write(folder / "memory.usage_in_bytes", GIB)
    write(folder / "memory.stat", f"cache 7\ntotal_inactive_file {GIB // 4}")
    write(tmp_path / "cg/memory/memory.limit_in_bytes", 9223372036854771712)  # none
    write(tmp_path / "cg/memory/memory.usage_in_bytes", 1)
    assert available_bytes(proc, tmp_path / "cg") == GIB + GIB // 4


def test_exceeded_limit_is_not_negative(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/")
    write(tmp_path / "cg/memory.max", 5)
    write(tmp_path / "cg/memory.current", 9)
    assert available_bytes(proc, tmp_path / "cg") == 0


def test_address_space_limit() -> None:
    limit = 3 * GIB
    code = "from wsss.io.process.memory_budget import available_bytes; print(available_bytes())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert limit // 2 < int(done.stdout) < limit


def test_workers_are_limited_by_memory() -> None:
    assert Budget(16, None).workers == 16
    assert Budget(16, 100 * GIB).workers == 16
    assert Budget(16, int(4 * WORKER_BYTES / USABLE_FRACTION)).workers == 4
    assert Budget(16, 0).workers == 1


def test_items_are_admitted_while_they_fit() -> None:
    budget = Budget(2, int((2 * WORKER_BYTES + 1000) / USABLE_FRACTION) + 1)
    assert budget.has_room_for([], 10**12)
    assert budget.has_room_for([600], 400)
    assert not budget.has_room_for([600], 500)
    assert Budget(2, None).has_room_for([10**12], 10**12)


def test_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.io.process.memory_budget.available_bytes", lambda: 10 * GIB)
    lines: list[str] = []
    assert workers_that_fit(4, GIB, lines.append, "export") == 4
    assert workers_that_fit(4, 0, lines.append, "export") == 4
    assert lines == []
    assert workers_that_fit(16, 2 * GIB, lines.append, "export") == 4
    assert workers_that_fit(16, 99 * GIB, lines.append, "export") == 1
    assert len(lines) == 2 and "16" in lines[0] and "2.0 GiB" in lines[0] and "10.0 GiB" in lines[0]
    assert workers_that_fit(16, GIB, lines.append, "export", processes=2) == 4 and "5.0 GiB" in lines[-1]
    monkeypatch.setattr("wsss.io.process.memory_budget.available_bytes", lambda: None)
    assert workers_that_fit(16, 99 * GIB, lines.append, "export") == 16


def test_size_text() -> None:
    assert (size_text(300 << 20), size_text(3 * GIB // 2)) == ("300 MiB", "1.5 GiB")
