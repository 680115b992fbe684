"""Number of local processes, as set by launchers."""

from __future__ import annotations

import pytest

from wsss.errors import InvalidInput
from wsss.io.process.cores import core_share, local_process_count, worker_count


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
