"""Number of local processes, as set by launchers."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss.errors import InvalidInput
from wsss.io.process.cores import available_cores, core_share, cpu_quota, local_process_count, worker_count


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 6),
        ({"LOCAL_WORLD_SIZE": "2"}, 2),
        ({"SLURM_NTASKS_PER_NODE": "3"}, 3),
        ({"LOCAL_WORLD_SIZE": "2", "SLURM_NTASKS_PER_NODE": "3"}, 2),
        ({"LOCAL_WORLD_SIZE": ""}, 6),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3)", "SLURM_NODEID": "2"}, 2),
        ({"SLURM_STEP_TASKS_PER_NODE": "3,2(x2),1", "SLURM_NODEID": "3"}, 1),
        ({"SLURM_STEP_TASKS_PER_NODE": "3,2(x2),1", "SLURM_NODEID": "0", "SLURM_NTASKS_PER_NODE": "5"}, 5),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3)", "SLURM_NODEID": "3"}, 6),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3)"}, 6),
        ({"SLURM_STEP_TASKS_PER_NODE": "many", "SLURM_NODEID": "0"}, 6),
    ],
)
def test_number_of_processes(variables: dict[str, str], expected: int) -> None:
    assert local_process_count(6, variables) == expected


@pytest.mark.parametrize("value", ["two", "0", "-1", "²", "2(x3)"])
@pytest.mark.parametrize("name", ["LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"])
def test_invalid_number_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as error:
        local_process_count(6, {name: value})
    assert name in str(error.value.subject) and error.value.found == value


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 2),  # six processes on this machine
        ({"LOCAL_WORLD_SIZE": "2"}, 6),
        ({"SLURM_NTASKS_PER_NODE": "3"}, 4),
        ({"SLURM_NTASKS_PER_NODE": "3", "SLURM_CPUS_PER_TASK": "12"}, 12),  # each task is bound to its own cores
        ({"SLURM_NTASKS_PER_NODE": "3", "SLURM_CPUS_PER_TASK": "16"}, 12),
        ({"LOCAL_WORLD_SIZE": "4", "SLURM_CPUS_PER_TASK": "12"}, 3),  # torchrun in a SLURM job
        ({"LOCAL_WORLD_SIZE": "40"}, 1),
    ],
)
def test_cores_of_each_process(variables: dict[str, str], expected: int) -> None:
    assert core_share(6, variables, cores=12) == expected


def test_processes_of_a_machine_do_not_start_a_worker_per_core_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.io.process.cores.available_cores", lambda: 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert (worker_count(None), worker_count(None, 4), worker_count(3, 4)) == (8, 2, 3)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/job/step", {"job/step/cpu.max": "max 100000", "job/cpu.max": "150000 100000"}, 1.5),
        ("0::/job/step", {"job/step/cpu.max": "400000 100000", "job/cpu.max": "150000 50000"}, 3),
        ("0::/docker/abc", {"cpu.max": "200000 100000"}, 2),  # only the root exists in a container
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": ""}, None),
        (
            "4:cpu,cpuacct:/slurm/job\n0::/",
            {"cpu,cpuacct/slurm/job/cpu.cfs_quota_us": "50000", "cpu,cpuacct/slurm/job/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("4:cpu:/job", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/job", {"memory/job/cpu.max": "1 1"}, None),
    ],
)
def test_quota_of_cpu_time(tmp_path: Path, own: str, files: dict[str, str], expected: float | None) -> None:
    for name, text in {"proc/self/cgroup": own, **{f"cg/{name}": text for name, text in files.items()}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert cpu_quota(tmp_path / "proc", tmp_path / "cg") == expected


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (0.5, 1), (1.5, 2), (2.0, 2), (64.0, 8)])
def test_workers_of_a_container_fit_its_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    """``docker run --cpus 2`` leaves all cores visible."""
    monkeypatch.setattr("wsss.io.process.cores.bound_cores", lambda: 8)
    monkeypatch.setattr("wsss.io.process.cores.cpu_quota", lambda: quota)
    assert (available_cores(), worker_count(None), worker_count(5)) == (expected, expected, 5)
    assert (core_share(1, {}), core_share(1, {}, quota=False)) == (expected, 8)
