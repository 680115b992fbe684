"""Whole runs of a real pipeline: the same result after kills, changes, damage and interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import warm
from clocks import wait_until
from killing import KILLED, kill_command
from tinyrun import command, environment, results, statuses, statuses_in, wsss

from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import read_image, write_png

STAGES = (
    "classify",
    "expand",
    "shrink",
    "cam",
    "pseudo",
    "crf",
    "segment",
    "predict",
    "score-pseudo",
    "score-segment",
    "report",
)
KILLS = [
    ("run.json", 1, True),
    ("classify/stage.json", 4, True),
    ("expand/checkpoint.pt", 2, False),
    ("cam/stage.json", 5, True),
    ("segment/checkpoint.pt", 6, False),
    ("report/index.html", 1, True),
]
"""File, number of the write after it exists, and whether the kill comes before this write is synchronised.

Writes are not counted from the start of the run: the number of those of its cache of content hashes depends on the load
of the machine, since recently changed files are not cached.
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(memory: Path) -> Path:
    """An undisturbed run; read-only."""
    run_dir = memory / "finished"
    assert set(statuses(run_dir)) == set(STAGES)
    return run_dir


@pytest.fixture
def run_dir(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    copy = tmp_path / "run"
    subprocess.run(["cp", "-a", str(finished), str(copy)], check=True)
    return copy


@pytest.mark.parametrize(("file", "at", "before"), KILLS, ids=lambda value: str(value))
def test_a_run_killed_at_a_write_ends_byte_identical(
    finished: Path, memory: Path, file: str, at: int, before: bool
) -> None:
    expected, stage = results(finished), file.partition("/")[0]
    run_dir = memory / f"killed-{stage}"
    done, _ = kill_command(
        command(run_dir), at, cwd=memory, before=before, after=run_dir / file, start=warm.command(), OMP_NUM_THREADS="1"
    )
    assert done.returncode == KILLED, done.stderr
    records = {path.parent.name: json.loads(path.read_text()) for path in run_dir.glob("*/stage.json")}
    assert [name for name, record in records.items() if record["status"] != "done"] == [
        *([stage] if stage in STAGES else [])
    ]
    resumed = wsss(*command(run_dir))
    assert resumed.returncode == 0, resumed.stderr
    found = results(run_dir)
    assert found.keys() == expected.keys()
    assert not [name for name in expected if found[name] != expected[name]]


def test_a_finished_run_writes_nothing(run_dir: Path) -> None:
    def times() -> dict[str, int]:
        return {name: (run_dir / name).stat().st_mtime_ns for name in results(run_dir)}

    before, changed = results(run_dir), times()
    assert set(statuses(run_dir).values()) == {"skipped"}
    assert results(run_dir) == before and times() == changed


def test_a_crf_parameter_re_runs_crf_and_its_dependants(run_dir: Path) -> None:
    ran = {name for name, status in statuses(run_dir, "--set", "crf.iterations=3").items() if status == "done"}
    assert ran == {"crf", "segment", "predict", "score-segment", "report"}


def test_damaged_generated_data_is_generated_again_without_re_runs(run_dir: Path) -> None:
    image = next(run_dir.glob("data/*/images/train_00000.png"))
    mask = next(run_dir.glob("data/*/masks/val_00000.png"))
    before = image.read_bytes(), mask.read_bytes()
    write_png(image, 255 - read_image(image))
    write_mask(mask, np.zeros_like(read_mask(mask)))
    plan = wsss(*command(run_dir, "--dry-run", "--json"))
    assert plan.returncode == 0, plan.stderr
    assert {stage["action"] for stage in json.loads(plan.stdout)["stages"]} == {"skip"}
    assert (image.read_bytes(), mask.read_bytes()) != before
    done = wsss(*command(run_dir, "--json"))
    assert "generated again: images/train_00000.png, masks/val_00000.png" in done.stderr
    assert set(statuses_in(done).values()) == {"skipped"}
    assert (image.read_bytes(), mask.read_bytes()) == before


def test_truncated_artifacts_are_rebuilt_with_a_warning(run_dir: Path, finished: Path) -> None:
    artifacts = ("cam/cams/train_00001.npz", "crf/masks/train_00002.png", "segment/model.safetensors")
    for name in artifacts:
        (run_dir / name).write_bytes((run_dir / name).read_bytes()[:-7])
    done = wsss(*command(run_dir))
    assert done.returncode == 0, done.stderr
    for name in artifacts:
        assert any(Path(name).name in line and "truncated" in line for line in done.stderr.splitlines()), name
    assert results(run_dir) == results(finished)


def test_ctrl_c_in_a_terminal_leaves_a_resumable_run(tmp_path: Path, finished: Path) -> None:
    run_dir = tmp_path / "run"
    call = [sys.executable, "-m", "wsss.cli.main", *command(run_dir), "--workers", "2"]
    process = subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment()
    )
    wait_until((run_dir / "classify" / "checkpoint.pt").exists)
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGINT, messages
    assert "wsss run" in messages and "Traceback" not in messages and "bug" not in messages, messages
    assert statuses(run_dir)["classify"] == "done"
    assert results(run_dir) == results(finished)


def test_two_processes_on_one_run_directory(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    until = ("--until", "classify")
    call = [sys.executable, "-m", "wsss.cli.main", *command(run_dir, *until)]
    first = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    try:
        wait_until((run_dir / "classify" / "stage.json").exists)
        second = wsss(*command(run_dir, *until))
        assert second.returncode == 1
        assert str(first.pid) in second.stderr
    finally:
        first.kill()
        first.wait()
    third = wsss(*command(run_dir, *until))
    assert third.returncode == 0, third.stderr
