from __future__ import annotations

import pytest

from wsss.cli.options.shared_options import resume_command
from wsss.pipeline.processes.launch import launcher

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "wsss"),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}, "wsss"),
        (TORCHRUN, "torchrun --nproc-per-node 2 -m wsss.cli.main"),
        (
            {**TORCHRUN, "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"},
            "torchrun --nnodes 2 --nproc-per-node 4 -m wsss.cli.main",
        ),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "MASTER_ADDR": "n1"}, "srun --ntasks 4 wsss"),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, "wsss"),
    ],
)
def test_the_command_that_starts_the_same_number_of_processes(environment: dict[str, str], expected: str) -> None:
    assert " ".join(launcher(environment)) == expected


def test_the_suggested_command_starts_the_same_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    result = resume_command(["run", "p.yaml", "--force", "crf", "--json"])
    assert result == "torchrun --nproc-per-node 2 -m wsss.cli.main run p.yaml --json"
