from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from inprocess import toy as toy_here
from killing import is_bookkeeping, snapshot
from tinyrun import several
from toycli import HERE
from toys import make_toy_data

from wsss.errors import InvalidInput, RunFailed
from wsss.pipeline.processes.ranks import DistributedRanks, SingleRank, join_ranks, ranks_in


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"WORLD_SIZE": "1", "RANK": "0"}, None),
        ({"WORLD_SIZE": "4", "RANK": "2"}, (2, 4)),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "1"}, None),  # an interactive allocation
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "1", "MASTER_ADDR": "n1"}, (1, 4)),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "MASTER_ADDR": "n1"}, None),
        ({"WORLD_SIZE": "2", "RANK": "1", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "MASTER_ADDR": "n"}, (1, 2)),
        ({"WORLD_SIZE": "1", "RANK": "0", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "MASTER_ADDR": "n"}, None),
    ],
)
def test_rank_and_size_from_the_environment(variables: dict[str, str], expected: tuple[int, int] | None) -> None:
    assert ranks_in(variables) == expected


@pytest.mark.parametrize(
    "variables", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "two", "RANK": "0"}, {"WORLD_SIZE": "2", "RANK": "2"}]
)
def test_an_invalid_environment_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as error:
        ranks_in(variables)
    assert "environment variable" in (error.value.subject or "")


def test_a_single_process() -> None:
    with join_ranks("cpu", {}) as ranks:
        assert isinstance(ranks, SingleRank)
        assert ranks.shard([1, 2, 3]) == [1, 2, 3]
        assert ranks.from_first(lambda: {"a": 1}) == {"a": 1}
        ranks.barrier()


def test_shards_are_disjoint_and_complete() -> None:
    items = list(range(11))
    shards = [DistributedRanks(rank, 3).shard(items) for rank in range(3)]
    assert sorted(item for shard in shards for item in shard) == items
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


TALK = """
import json, os, sys
from wsss.errors import RunFailed
from wsss.pipeline.processes.ranks import join_ranks
with join_ranks("cpu") as ranks:
    told = ranks.from_first(lambda: {"from": ranks.rank, "text": "ä" * 1000})
    ranks.barrier()
    try:
        ranks.from_first(lambda: 1 / 0)
    except (ZeroDivisionError, RunFailed) as error:
        failed = f"{type(error).__name__}: {error}"
    with open(f"{sys.argv[1]}/{ranks.rank}.json", "w") as file:
        json.dump([told["from"], len(told["text"]), failed, list(ranks.shard(range(5)))], file)
"""


@pytest.mark.slow
def test_two_ranks_exchange_values_and_errors(tmp_path: Path) -> None:
    script = tmp_path / "talk.py"
    script.write_text(TALK)
    several(2, "--script", str(script), str(tmp_path), timeout=300).check_returncode()
    assert json.loads((tmp_path / "0.json").read_text()) == [0, 1000, "ZeroDivisionError: division by zero", [0, 2, 4]]
    assert json.loads((tmp_path / "1.json").read_text()) == [
        0, 1000, "RunFailed: Rank 0 failed: division by zero.", [1, 3],
    ]  # fmt: skip


WAIT = """
import sys, time
from wsss.pipeline.processes.ranks import join_ranks
with join_ranks("cpu") as ranks:
    ranks.barrier()
    begun = time.monotonic()
    time.sleep(2 if ranks.rank == 3 else 0)
    ranks.barrier()
    with open(f"{sys.argv[1]}/{ranks.rank}", "w") as file:
        file.write(str(time.monotonic() - begun))
"""


@pytest.mark.slow
def test_a_barrier_waits_for_all_ranks(tmp_path: Path) -> None:
    """A broadcast among four would let the third continue before the fourth arrives."""
    script = tmp_path / "wait.py"
    script.write_text(WAIT)
    several(4, "--script", str(script), str(tmp_path), timeout=300).check_returncode()
    assert all(float((tmp_path / str(rank)).read_text()) > 1 for rank in range(4))


PIPELINE = """\
name: toy
data: {root: d}
stages:
  make: {uses: make, with: {n: 7, split: train}}
  double: {uses: double, needs: [make]}
  train: {uses: train, needs: [double]}
  all: {uses: gather, needs: [make, double, train]}
"""


def two_ranks(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the toy command in two preloaded ranks; `test_processes_and_threads.py` starts torchrun itself."""
    return several(2, "--script", str(HERE / "toycli.py"), *arguments, cwd=cwd)


@pytest.mark.slow
def test_two_ranks_write_the_same_files_as_one(tmp_path: Path) -> None:
    make_toy_data(tmp_path / "d")
    (tmp_path / "p.yaml").write_text(PIPELINE)
    both = two_ranks("run", "p.yaml", "--json", cwd=tmp_path)
    assert both.returncode == 0, both.stderr
    document = json.loads(both.stdout)  # only the first rank prints
    assert [stage["status"] for stage in document["stages"]] == ["done"] * 4
    one = toy_here("run", "p.yaml", "--run-dir", "one", cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    assert snapshot(tmp_path / "runs" / "toy", ignore=is_bookkeeping) == snapshot(
        tmp_path / "one", ignore=is_bookkeeping
    )
    again = two_ranks("run", "p.yaml", "--json", cwd=tmp_path)
    assert [stage["status"] for stage in json.loads(again.stdout)["stages"]] == ["skipped"] * 4
    alone = toy_here("run", "p.yaml", "--json", cwd=tmp_path)  # finished by two ranks
    assert [stage["status"] for stage in json.loads(alone.stdout)["stages"]] == ["skipped"] * 4


@pytest.mark.slow
def test_two_ranks_copy_duplicates(tmp_path: Path) -> None:
    make_toy_data(tmp_path / "d")
    same = PIPELINE.replace("  all: ", "  again: {uses: train, needs: [double]}\n  all: ").replace(
        "[make, double, train]", "[make, double, train, again]"
    )
    (tmp_path / "p.yaml").write_text(same)
    both = two_ranks("run", "p.yaml", cwd=tmp_path)
    assert both.returncode == 0, both.stderr
    assert json.loads((tmp_path / "runs" / "toy" / "again" / "stage.json").read_text())["same_as"] == "train"


@pytest.mark.slow
def test_a_failure_ends_all_ranks(tmp_path: Path) -> None:
    make_toy_data(tmp_path / "d")
    (tmp_path / "p.yaml").write_text(PIPELINE + "  bad: {uses: fail, needs: [double]}\n")
    done = two_ranks("run", "p.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "Stage 'bad' failed: it did not work." in done.stderr
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("split: train", "split: nowhere"))
    done = two_ranks("run", "p.yaml", "--run-dir", "other", cwd=tmp_path)
    assert done.returncode != 0
    assert "nowhere" in done.stderr


@pytest.mark.slow
def test_other_ranks_that_do_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wsss.pipeline.processes import ranks

    monkeypatch.setattr(ranks, "JOINING", ranks.timedelta(seconds=1))
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunFailed) as error, join_ranks("cpu", os.environ):
        pytest.fail("joined without a partner")
    assert error.value.subject == "Rank 1 of 2"
