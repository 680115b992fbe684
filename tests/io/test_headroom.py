"""Available memory, as different systems show it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from wsss.io.process.headroom import SHARE, WORKER_BYTES, Budget, available_bytes, size_text, that_fit

GIB = 1 << 30


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 8 GiB available and no cgroup."""
    write(tmp_path / "proc/meminfo", f"MemTotal: {16 * GIB // 1024} kB\nMemAvailable: {8 * GIB // 1024} kB")
    return tmp_path / "proc"


def test_the_machine_alone(proc: Path, tmp_path: Path) -> None:
    assert available_bytes(proc, tmp_path / "none") == 8 * GIB


def test_nothing_is_known(tmp_path: Path) -> None:
    assert available_bytes(tmp_path, tmp_path) is None


def test_a_limit_of_version_2_without_what_can_be_dropped(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/job/step")
    write(tmp_path / "cg/job/step/memory.max", 3 * GIB)
    write(tmp_path / "cg/job/step/memory.current", 2 * GIB)
    write(tmp_path / "cg/job/step/memory.stat", f"anon 1\ninactive_file {GIB // 2}\nactive_file 5")
    assert available_bytes(proc, tmp_path / "cg") == GIB + GIB // 2


def test_a_limit_of_a_cgroup_above(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/job/step")
    write(tmp_path / "cg/job/step/memory.max", "max")
    write(tmp_path / "cg/job/step/memory.current", 1)
    write(tmp_path / "cg/job/memory.max", 2 * GIB)
    write(tmp_path / "cg/job/memory.current", GIB)
    assert available_bytes(proc, tmp_path / "cg") == GIB


def test_in_a_container_the_path_is_not_there_and_the_root_counts(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/docker/abc")
    write(tmp_path / "cg/memory.max", GIB)
    write(tmp_path / "cg/memory.current", GIB // 4)
    assert available_bytes(proc, tmp_path / "cg") == GIB - GIB // 4


def test_a_limit_of_version_1(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "9:name=systemd:/\n4:cpu,memory:/slurm/job\n0::/")
    folder = tmp_path / "cg/memory/slurm/job"
    write(folder / "memory.limit_in_bytes", 2 * GIB)
    write(folder / "memory.usage_in_bytes", GIB)
    write(folder / "memory.stat", f"cache 7\ntotal_inactive_file {GIB // 4}")
    write(tmp_path / "cg/memory/memory.limit_in_bytes", 9223372036854771712)  # none
    write(tmp_path / "cg/memory/memory.usage_in_bytes", 1)
    assert available_bytes(proc, tmp_path / "cg") == GIB + GIB // 4


def test_a_used_up_limit_is_no_negative_number(proc: Path, tmp_path: Path) -> None:
    write(proc / "self/cgroup", "0::/")
    write(tmp_path / "cg/memory.max", 5)
    write(tmp_path / "cg/memory.current", 9)
    assert available_bytes(proc, tmp_path / "cg") == 0


def test_a_limit_of_the_address_space() -> None:
    limit = 3 * GIB
    code = "from wsss.io.process.headroom import available_bytes; print(available_bytes())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert limit // 2 < int(done.stdout) < limit


def test_fewer_workers_where_their_bases_do_not_fit() -> None:
    assert Budget(16, None).workers == 16
    assert Budget(16, 100 * GIB).workers == 16
    assert Budget(16, int(4 * WORKER_BYTES / SHARE)).workers == 4
    assert Budget(16, 0).workers == 1


def test_items_are_admitted_while_they_fit_and_alone_always() -> None:
    budget = Budget(2, int((2 * WORKER_BYTES + 1000) / SHARE) + 1)
    assert budget.admits([], 10**12)
    assert budget.admits([600], 400)
    assert not budget.admits([600], 500)
    assert Budget(2, None).admits([10**12], 10**12)


def test_threads_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.io.process.headroom.available_bytes", lambda: 10 * GIB)
    lines: list[str] = []
    assert that_fit(4, GIB, lines.append, "export") == 4
    assert that_fit(4, 0, lines.append, "export") == 4
    assert lines == []
    assert that_fit(16, 2 * GIB, lines.append, "export") == 4
    assert that_fit(16, 99 * GIB, lines.append, "export") == 1
    assert len(lines) == 2
    assert "4 instead of 16" in lines[0] and "2.0 GiB" in lines[0] and "10.0 GiB" in lines[0]
    monkeypatch.setattr("wsss.io.process.headroom.available_bytes", lambda: None)
    assert that_fit(16, 99 * GIB, lines.append, "export") == 16


def test_sizes_in_words() -> None:
    assert (size_text(300 << 20), size_text(3 * GIB // 2)) == ("300 MiB", "1.5 GiB")
