"""Run directories from untrusted sources: no command writes or deletes outside, hangs, or ends in a traceback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killing import snapshot
from tinyrun import wsss

from wsss.io.files.sealed import read_sealed_json, write_sealed_json

PIPELINE = Path(__file__).parent / "support" / "hostile.yaml"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    done = wsss("run", str(PIPELINE), "--run-dir", str(folder), "--workers", "1")
    assert done.returncode == 0, done.stderr
    return folder


def artifact(name: str) -> Callable[[Path, Path], None]:
    """Return a function that records an outside file as a damaged artifact of a stage, which a run deletes."""

    def act(run: Path, victim: Path) -> None:
        record = read_sealed_json(run / "pseudo" / "stage.json")
        record["artifacts"][name.format(victim=victim)] = {"bytes": 1, "sha256": "0" * 64, "mtime_ns": 1}
        write_sealed_json(run / "pseudo" / "stage.json", record)

    return act


def stage_id(run: Path, victim: Path) -> None:
    record = read_sealed_json(run / "run.json")
    record["stages"][2]["id"] = "../victim"
    write_sealed_json(run / "run.json", record)


def link(name: str) -> Callable[[Path, Path], None]:
    """Return a function that replaces a path in a run directory by a link to the outside folder, or to a file in it."""

    def act(run: Path, victim: Path) -> None:
        path = run / name
        if path.is_dir():
            shutil.copytree(path, victim, dirs_exist_ok=True)
            shutil.rmtree(path)
            path.symlink_to(victim)
        else:
            path.unlink(missing_ok=True)
            path.symlink_to(victim / "kept")

    return act


def pipe(name: str) -> Callable[[Path, Path], None]:
    def act(run: Path, victim: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return act


RUN: tuple[str, ...] = ("run", str(PIPELINE), "--workers", "1", "--run-dir", "RUN")
SHAPES = ("--data.layout", "shapes", "--data.size", "32", "--data.train", "4", "--data.val", "2", "--data.classes", "2")
EXPORT = ("export", "RUN", "--format", "voc", "--out", "OUT")
CASES: dict[str, tuple[Callable[[Path, Path], Any], tuple[str, ...]]] = {
    "artifact above": (artifact("../../victim/kept"), RUN),
    "artifact elsewhere": (artifact("{victim}/kept"), RUN),
    "id of a stage": (stage_id, EXPORT),
    "id of a stage, status": (stage_id, ("status", "RUN")),
    "linked stage": (link("pseudo"), (*RUN, "--force", "pseudo")),
    "linked masks": (link("pseudo/masks"), (*RUN, "--force", "pseudo")),
    "linked tensorboard": (link("classify/tensorboard"), (*RUN, "--force", "classify")),
    "linked data": (link("data"), RUN),
    "linked report": (link("report"), ("report", "RUN", "--force")),
    "linked scores": (link("score"), ("score", "--pred", "RUN/pseudo", "--out", "RUN/score", "--force", *SHAPES)),
    "linked log": (link("run.log"), RUN),
    "linked lock": (link(".wsss-lock"), RUN),
    "pipe as log": (pipe("run.log"), RUN),
    "pipe as lock": (pipe(".wsss-lock"), RUN),
    "pipe as record": (pipe("pseudo/stage.json"), RUN),
    "pipe as record of the run": (pipe("run.json"), ("status", "RUN")),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_outside_is_touched(finished: Path, tmp_path: Path, case: str) -> None:
    prepare, arguments = CASES[case]
    run, victim = tmp_path / "run", tmp_path / "victim"
    shutil.copytree(finished, run)
    victim.mkdir()
    (victim / "kept").write_text("kept")
    prepare(run, victim)
    before = snapshot(victim)
    words = [word.replace("RUN", str(run)).replace("OUT", str(tmp_path / "out")) for word in arguments]
    done = wsss(*words, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "Unexpected" not in done.stderr
    assert str(run) in done.stderr and len(done.stderr.splitlines()) > 1
    assert snapshot(victim) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "victim"]


def test_a_run_on_another_disk_works(finished: Path, tmp_path: Path) -> None:
    """The run directory and its parents may be links."""
    (tmp_path / "disk").mkdir()
    shutil.copytree(finished, tmp_path / "disk" / "run")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    (tmp_path / "mine").symlink_to(tmp_path / "runs" / "run")
    run = str(tmp_path / "mine")
    done = wsss("run", str(PIPELINE), "--run-dir", run, "--workers", "1", "--force", "pseudo", "--json")
    assert done.returncode == 0, done.stderr
    stages = {stage["id"]: stage["status"] for stage in json.loads(done.stdout)["stages"]}
    assert stages["classify"] == "skipped" and stages["pseudo"] == "done"


def test_a_finished_stage_that_is_a_link_is_read(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "pseudo").rename(tmp_path / "moved")
    (tmp_path / "run" / "pseudo").symlink_to(tmp_path / "moved")
    before = snapshot(tmp_path / "moved")
    run = str(tmp_path / "run")
    for arguments in (
        ("run", str(PIPELINE), "--run-dir", run, "--workers", "1"),
        ("export", run, "--stage", "pseudo", "--format", "voc", "--out", str(tmp_path / "out")),
        ("status", run, "--verify"),
    ):
        assert wsss(*arguments).returncode == 0, arguments
    assert snapshot(tmp_path / "moved") == before
