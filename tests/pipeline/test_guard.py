"""The folder that the ranks of a run share."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_items import ThreadRanks, on_ranks
from tinyrun import ranks
from toycli import environment
from toys import make_toy_data

from wsss.errors import InvalidInput
from wsss.pipeline.processes.ranks import SingleRank
from wsss.pipeline.run import guard
from wsss.pipeline.run.guard import locked_for, require_shared
from wsss.pipeline.run.task import Session
from wsss.pipeline.store.lock import HOLDER, read_holder, run_lock
from wsss.pipeline.store.stage_folder import WORK


class Second(SingleRank):
    """Rank 1 of 3, while rank 0 has locked a folder and rank 2 sees it."""

    rank, size = 1, 3

    def __init__(self, locked: Path) -> None:
        self.locked = locked
        self.told: list[Any] = []

    def from_first(self, make: Callable[[], Any]) -> Any:
        holder = read_holder(self.locked)
        assert holder is not None
        return dataclasses.asdict(holder)

    def gather(self, value: Any) -> list[Any]:
        self.told.append(value)
        return [True, value, True]


def test_ranks_require_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "VISIBLE", 0)
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    own.mkdir()
    with run_lock(shared, print), run_lock(own, print):
        second: Any = Second(shared)
        require_shared(shared, second)
        assert second.told == [True]
        holder = read_holder(own)
        assert holder is not None and holder.pid == os.getpid()
        (own / HOLDER).write_text((own / HOLDER).read_text().replace(holder.start, "2020-01-01T00:00:00"))
        for folder in (own, tmp_path / "missing"):
            with pytest.raises(InvalidInput) as error:
                require_shared(folder, second)
            assert "rank 1 of 3" in error.value.problem and error.value.subject == str(folder)
            assert "--run-dir" in str(error.value.hint)
    require_shared(own, SingleRank())


class Broadcasting(ThreadRanks):
    def _broadcast(self, message: Any) -> Any:
        return self.gather(message)[0]


def enter(ranks: ThreadRanks, folder: Path, *, temporary: bool = False) -> str:
    """Enter the folder of a stage as a rank; return the name of the folder for generated data."""
    session = Session(folder.parent, ranks=Broadcasting(ranks.rank, ranks.met, ranks.values))
    with locked_for(folder, session, temporary=temporary) as work:
        ranks.gather(None)  # all are inside
        return work.name


def test_ranks_enter_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "VISIBLE", 0.3)
    assert on_ranks(3, lambda ranks: enter(ranks, tmp_path / "shared")) == [WORK] * 3
    assert not (tmp_path / "shared").exists()
    own = on_ranks(3, lambda ranks: enter(ranks, tmp_path / f"own-{min(1, ranks.rank)}"))
    for error in own:
        assert isinstance(error, InvalidInput) and "ranks 1, 2 of 3" in error.problem
    own = on_ranks(3, lambda ranks: enter(ranks, tmp_path / f"own-{ranks.rank}", temporary=True))
    assert own == [WORK] * 3


IMPATIENT = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parents[1] / "support")!r}]
import toycli
from wsss.pipeline.run import guard
guard.VISIBLE = 1
toycli.main()
"""


@pytest.mark.slow
def test_a_run_without_a_shared_folder_ends(tmp_path: Path) -> None:
    """As with relative paths on two machines; before, each rank wrote its share of the files to a folder of its own."""
    make_toy_data(tmp_path / "d")
    (tmp_path / "p.yaml").write_text(
        "name: toy\ndata: {root: d}\nstages:\n  make: {uses: make, with: {n: 7, split: train}}\n"
    )
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    processes = [
        subprocess.Popen(
            [sys.executable, "impatient.py", "run", "p.yaml", "--run-dir", f"node{variables['RANK']}"],
            cwd=tmp_path,
            env=environment(**variables),
            stderr=subprocess.PIPE,
            text=True,
        )
        for variables in ranks(2)
    ]
    for process in processes:
        _, messages = process.communicate(timeout=280)
        assert process.returncode == 2 and "rank 1 of 2" in messages and "--run-dir" in messages
    assert not (tmp_path / "node0" / "make").exists() and not (tmp_path / "node1").exists()


def test_ranks_may_have_temporary_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of commands without ``--out``, which only print their result."""
    monkeypatch.setattr(guard, "VISIBLE", 0)
    (tmp_path / "first").mkdir()
    with run_lock(tmp_path / "first", print):
        session = Session(tmp_path, ranks=Second(tmp_path / "first"))  # type: ignore[arg-type]
        with guard.lock_on_first(tmp_path / "second", session, temporary=True):
            pass
        with pytest.raises(InvalidInput), guard.lock_on_first(tmp_path / "second", session):
            pytest.fail("entered without the folder of rank 0")
