"""SIGKILL at every atomic write of a run: the next run ends with the same bytes as an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from killing import KILLED, is_bookkeeping, memory_folder, run_and_kill, snapshot
from toycli import start_toy, toy
from toys import TOYS, run_toys

from wsss.pipeline.config.layers import parse_set
from wsss.pipeline.config.source import merge, parse_yaml
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.store.run_summary import summarise

TEXT = """\
name: toy
data: {generate: pictures}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  double: {uses: double, needs: [make]}
  train: {uses: train, needs: [double], with: {steps: 3}}
  all: {uses: gather, needs: [make, double, train]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with memory_folder(tmp_path) as folder:
        yield folder


def run(run_dir: Path, *sets: str, **choice: str) -> None:
    source = parse_yaml(TEXT, "p.yaml")
    for name in sets:
        source = merge(source, parse_set(name, source, TOYS))
    run_toys(spec_from(source), run_dir, **choice)


def statuses(run_dir: Path) -> set[str]:
    summary = summarise(run_dir)
    assert summary is not None
    return {stage["status"] for stage in summary["stages"]}


def kill_everywhere(
    prepare: Callable[[Path], None], work: Callable[[Path], None], folder: Path, *, before: int, after: int
) -> int:
    """Kill ``work`` at its writes, run it again and compare with an undisturbed run; return the number of kills.

    Args:
        prepare, work: called with a run directory.
        folder: parent of the run directories.
        before, after: kill before every n-th write is synchronised, and after it.
    """
    whole = folder / "intact"
    prepare(whole)
    code, writes = run_and_kill(lambda: work(whole), None)
    assert code == 0
    expected = snapshot(whole, ignore=is_bookkeeping)
    kills = 0
    for first, every in ((True, before), (False, after)):
        for at in range(1 + first, writes + 1, every):
            run_dir = folder / f"{at}-{first}"
            prepare(run_dir)
            code, made = run_and_kill(lambda folder=run_dir: work(folder), at, before=first)
            assert (code, made) == (KILLED, at)
            kills += 1
            work(run_dir)
            assert snapshot(run_dir, ignore=is_bookkeeping) == expected, f"killed at write {at}, before={first}"
            assert statuses(run_dir) == {"done"}
            assert not list(run_dir.rglob(".wsss-tmp-*"))
            shutil.rmtree(run_dir)
    return kills


def change(run_dir: Path) -> None:
    """Run with another config: old artifacts must not count as new ones, wherever the deletion of files ended."""
    run(run_dir, "make.text=y", "train.steps=2")


def run_and_damage(run_dir: Path) -> None:
    run(run_dir)
    (run_dir / "make" / "items" / "001.txt").write_text("x")
    (run_dir / "train" / "model.bin").unlink()


SITUATIONS = {"first": (lambda run_dir: None, run), "changed": (run, change), "damaged": (run_and_damage, run)}


def test_a_run_survives_kills_at_some_writes(folder: Path) -> None:
    prepare, work = SITUATIONS["changed"]
    assert kill_everywhere(prepare, work, folder, before=14, after=28) > 4


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_run_survives_a_kill_at_every_write(folder: Path, situation: str) -> None:
    prepare, work = SITUATIONS[situation]
    assert kill_everywhere(prepare, work, folder, before=1, after=8) > 30


def test_forced_stages_re_run_after_a_kill(folder: Path) -> None:
    """After a kill, the next run re-runs the forced stages without ``--force``."""
    run(folder / "intact")
    _, writes = run_and_kill(lambda: run(folder / "intact", force="double"), None)
    for at in range(12, writes, 9):
        run_dir = folder / str(at)
        run(run_dir)
        left = [run_dir / "double" / "items" / "extra.txt", run_dir / "all" / "extra.txt"]
        for path in left:
            path.write_text("foreign")
        code, _ = run_and_kill(lambda folder=run_dir: run(folder, force="double"), at)
        assert code == KILLED
        run(run_dir)
        assert not any(path.exists() for path in left), f"killed at write {at}"
        assert statuses(run_dir) == {"done"}


@pytest.mark.slow
def test_a_run_with_workers_survives_kills_at_any_time(tmp_path: Path) -> None:
    """The whole process group is killed repeatedly, a little later each time, until a run finishes."""
    (tmp_path / "p.yaml").write_text(TEXT)
    arguments = ["run", "p.yaml", "--workers", "2", "--set", "make.n=60", "--set", "make.pause=0.1"]
    whole = toy(*arguments, "--run-dir", "intact", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    kills = 0
    for tenths in range(5, 200, 5):
        process = start_toy(*arguments, cwd=tmp_path, start_new_session=True)
        try:
            process.communicate(timeout=tenths / 10)
        except subprocess.TimeoutExpired:
            kills += 1
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            continue
        assert process.returncode == 0
        break
    assert kills >= 4
    assert snapshot(tmp_path / "runs" / "toy", ignore=is_bookkeeping) == snapshot(
        tmp_path / "intact", ignore=is_bookkeeping
    )


@pytest.mark.parametrize("before", [True, False])
def test_the_harness_counts_and_kills(tmp_path: Path, before: bool) -> None:
    from wsss.io.files.atomic import write_text

    def work() -> None:
        for name in "abc":
            write_text(tmp_path / name, name)

    assert run_and_kill(work, None) == (0, 6)  # one for the file and one for the folder each
    for name in "abc":
        (tmp_path / name).unlink()
    assert run_and_kill(work, 3, before=before) == (KILLED, 3)
    assert sorted(path.name for path in tmp_path.glob("[abc]")) == ["a"]
    assert len(list(tmp_path.glob(".wsss-tmp-*"))) == 1
