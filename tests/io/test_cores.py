"""Number of local processes, as set by launchers."""

from __future__ import annotations

import pytest

from wsss.errors import InvalidInput
from wsss.io.process.cores import local_process_count


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
