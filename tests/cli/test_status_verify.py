"""``wsss status --verify`` and ``--repair``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flipping import flip
from inprocess import toy
from toys import make_toy_pipeline


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A finished toy run."""
    make_toy_pipeline(tmp_path)
    assert toy("run", "p.yaml", cwd=tmp_path).returncode == 0
    return tmp_path


def test_intact_run(here: Path) -> None:
    done = toy("status", "toy", "--verify", cwd=here)
    assert (done.returncode, done.stdout) == (0, "Verified 12 files: none damaged.\n")
    document = json.loads(toy("status", "toy", "--verify", "--json", cwd=here).stdout)
    assert document == {"run_dir": "runs/toy", "files": 12, "damaged": [], "not_recorded": [], "unfinished": []}


def test_damaged_file_is_detected_and_repaired_as_suggested(here: Path) -> None:
    path = here / "runs/toy/make/items/001.txt"
    flip(path, 10)
    assert "skipped" in toy("run", "p.yaml", cwd=here).stdout  # unchanged size and time
    done = toy("status", "toy", "--verify", cwd=here)
    assert done.returncode == 1 and "damaged: runs/toy/make/items/001.txt: changed" in done.stdout.splitlines()
    assert "wsss run … --run-dir runs/toy --force make; or delete runs/toy/make" in done.stdout
    document = json.loads(toy("status", "toy", "--verify", "--json", cwd=here).stdout)
    assert [(one["stage"], one["path"]) for one in document["damaged"]] == [("make", "runs/toy/make/items/001.txt")]
    assert toy("run", "p.yaml", "--run-dir", "runs/toy", "--force", "make", cwd=here).returncode == 0
    assert toy("status", "toy", "--verify", cwd=here).returncode == 0


def test_damaged_record_of_the_run(here: Path) -> None:
    record = here / "runs/toy/run.json"
    flip(record, 8 * record.read_bytes().index(b"toy") + 1)
    done = toy("status", "toy", "--verify", cwd=here)
    assert done.returncode == 1 and "run.json" in done.stdout
    refused = toy("run", "p.yaml", cwd=here)
    assert refused.returncode == 2 and f"Delete {Path('runs/toy/run.json')}" in refused.stderr
    record.unlink()
    assert toy("run", "p.yaml", cwd=here).stdout.count("skipped") == 2


def test_lost_records_are_restored_and_the_stages_skipped(here: Path) -> None:
    (here / "runs/toy/run.json").unlink()
    (here / "runs/toy/make/stage.json").write_text("{")
    lost = toy("status", "toy", cwd=here)
    assert lost.returncode == 2 and "wsss status --repair runs/toy" in lost.stderr
    done = toy("status", "toy", "--repair", "--json", cwd=here)
    assert [record["restored"] for record in json.loads(done.stdout)["records"]] == [True, True]
    assert toy("run", "p.yaml", cwd=here).stdout.count("skipped") == 2
    (here / "runs/toy/make/stage.json").unlink()
    (here / "runs/toy/make/.wsss-stage.json").unlink()
    done = toy("status", "toy", "--repair", cwd=here)
    assert done.returncode == 1 and "not restored: runs/toy/make/stage.json" in done.stdout


def test_folder_without_records_is_refused(here: Path) -> None:
    assert toy("status", "d", "--verify", cwd=here).returncode == 2
    assert toy("status", "toy", "--verify", "--repair", cwd=here).returncode == 2
