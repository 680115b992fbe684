"""``wsss status --verify`` as a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flipping import flip
from toycli import toy
from toys import make_toy_data

TEXT = """\
name: toy
data: {root: d}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  double: {uses: double, needs: [make]}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    make_toy_data(tmp_path / "d")
    (tmp_path / "p.yaml").write_text(TEXT)
    assert toy("run", "p.yaml", cwd=tmp_path).returncode == 0
    return tmp_path


def test_an_intact_run(here: Path) -> None:
    done = toy("status", "toy", "--verify", cwd=here)
    assert (done.returncode, done.stdout) == (0, "Verified 6 files: none damaged.\n")
    document = json.loads(toy("status", "toy", "--verify", "--json", cwd=here).stdout)
    assert document == {"run_dir": "runs/toy", "files": 6, "damaged": [], "not_recorded": [], "unfinished": []}


def test_a_damaged_run_is_mended_by_what_it_advises(here: Path) -> None:
    path = here / "runs/toy/make/items/001.txt"
    flip(path, 10)
    assert "skipped" in toy("run", "p.yaml", cwd=here).stdout  # size and time are what they were
    done = toy("status", "toy", "--verify", cwd=here)
    assert done.returncode == 1
    assert "damaged: runs/toy/make/items/001.txt: changed" in done.stdout.splitlines()
    assert "wsss run … --run-dir runs/toy --force make; or delete runs/toy/make" in done.stdout
    document = json.loads(toy("status", "toy", "--verify", "--json", cwd=here).stdout)
    assert [(one["stage"], one["path"]) for one in document["damaged"]] == [("make", "runs/toy/make/items/001.txt")]
    assert toy("run", "p.yaml", "--run-dir", "runs/toy", "--force", "make", cwd=here).returncode == 0
    assert toy("status", "toy", "--verify", cwd=here).returncode == 0


def test_a_damaged_record_of_the_run(here: Path) -> None:
    record = here / "runs/toy/run.json"
    flip(record, 8 * record.read_bytes().index(b"toy") + 1)
    done = toy("status", "toy", "--verify", cwd=here)
    assert done.returncode == 1 and "run.json: can't be read" in done.stdout
    refused = toy("run", "p.yaml", cwd=here)
    assert refused.returncode == 2 and f"Delete {Path('runs/toy/run.json')}" in refused.stderr
    record.unlink()
    done = toy("run", "p.yaml", cwd=here)
    assert done.returncode == 0 and done.stdout.count("skipped") == 2


def test_a_folder_that_is_no_run(here: Path) -> None:
    done = toy("status", "d", "--verify", cwd=here)
    assert done.returncode == 2 and "is a run directory or a stage's folder" in done.stderr
