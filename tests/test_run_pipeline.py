"""`wsss.run_pipeline` returns the document of ``wsss run --json``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from coco_files import write_small_coco
from tinyrun import TINY

import wsss
from wsss.cli.main import _call
from wsss.errors import InvalidInput
from wsss.pipeline.store.run_folder import data_of_run, read_run
from wsss.whole_run import _settings

OVERRIDES = {"data.train": 3, "data.val": 2, "classify.epochs": 1}


def command_line(run_dir: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, object]:
    """Return the document that the command prints."""
    sets = [word for key, value in OVERRIDES.items() for word in ("--set", f"{key}={value}")]
    assert _call(["run", str(TINY), "--run-dir", str(run_dir), *sets, "--json", *options]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_a_run_and_the_command_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = tmp_path / "run"
    result = wsss.run_pipeline(TINY, OVERRIDES, run_dir, until="classify", device="cpu", workers=1, quiet=True)
    assert capsys.readouterr() == ("", "")
    assert result["status"] == "done" and [stage["status"] for stage in result["stages"]] == ["done"]
    again = wsss.run_pipeline(
        str(TINY), [f"{key}={value}" for key, value in OVERRIDES.items()], run_dir, until="classify"
    )
    printed = command_line(run_dir, capsys, "--until", "classify")
    for stages in (again["stages"], printed["stages"]):
        assert [stage.pop("seconds") >= 0 for stage in stages] and stages[0]["status"] == "skipped"
    assert again == printed and printed["run_dir"] == str(run_dir)


def test_a_plan_is_that_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = wsss.run_pipeline(TINY, OVERRIDES, tmp_path / "run", dry_run=True)
    assert plan == command_line(tmp_path / "run", capsys, "--dry-run")
    assert plan["status"] == "planned" and {stage["action"] for stage in plan["stages"]} == {"run"}


def test_a_failed_stage_raises_its_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        wsss.run_pipeline(TINY, run_dir=tmp_path / "run", start="segment", quiet=True)


@pytest.mark.parametrize(
    ("overrides", "subject"),
    [
        ("segment.epochs=2", "overrides"),
        (b"segment.epochs=2", "overrides"),
        (None, "overrides"),
        ([3], "overrides"),
        ({"segment.epochs": {2}}, "overrides: segment.epochs"),
        ({"segment.epochs": object()}, "overrides: segment.epochs"),
        ({"segment.epochs": b"2"}, "overrides: segment.epochs"),
    ],
)
def test_invalid_overrides(overrides: Any, subject: str) -> None:
    with pytest.raises(InvalidInput) as error:
        wsss.run_pipeline(TINY, overrides, dry_run=True)
    assert error.value.subject == subject and error.value.allowed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int64(3), "3"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.arange(2), "[0, 1]"),
        (range(2), "[0, 1]"),
        ({"lr": np.float64(1e-3)}, '{"lr": 0.001}'),
        (Path("a: b"), '"a: b"'),
    ],
)
def test_overrides_may_be_numpy_values(value: Any, text: str) -> None:
    assert _settings({"a.b": value}) == (f"a.b={text}",)


@pytest.mark.parametrize(
    ("argument", "value"), [("workers", -1), ("workers", 1.5), ("device", "gpu"), ("precision", "16")]
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_invalid_arguments(tmp_path: Path, argument: str, value: object, dry_run: bool) -> None:
    with pytest.raises(InvalidInput) as error:
        wsss.run_pipeline(TINY, run_dir=tmp_path / "run", dry_run=dry_run, **{argument: value})  # type: ignore[arg-type]
    assert error.value.subject == argument and error.value.found == value
    assert not (tmp_path / "run").exists()


def test_home_folders_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.yaml").write_text(TINY.read_text())
    plan = wsss.run_pipeline("~/here.yaml", run_dir="~/runs/a", dry_run=True)
    assert plan["run_dir"] == str(tmp_path / "runs" / "a")
    wsss.run_pipeline(Path("~/here.yaml"), OVERRIDES, Path("~/run"), until="classify", workers=1, quiet=True)
    assert not (tmp_path / "~").exists() and (tmp_path / "run" / "run.json").is_file()


def test_errors_name_arguments_not_options(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        wsss.run_pipeline(TINY, run_dir=tmp_path / "run", start="segment", dry_run=True)
    assert error.value.subject == "start='segment'" and "--from" not in str(error.value)


def test_a_dataset_with_a_folder_of_images_per_split(tmp_path: Path) -> None:
    root = write_small_coco(tmp_path / "coco")
    for split in ("train", "val"):
        (root / "img").mkdir(exist_ok=True)
        (root / f"{split}2014").rename(root / "img" / split)
    images = {"train": "img/train", "val": "img/val"}
    data = {"layout": "coco", "root": str(root), "images": images, "classes": ["person", "dog"]}
    document = yaml.safe_load(TINY.read_text())
    pipeline = {"name": "mapped", "data": data, "stages": {"classify": document["stages"]["classify"]}}
    (tmp_path / "mapped.yaml").write_text(yaml.safe_dump(pipeline))
    run_dir = tmp_path / "run"
    result = wsss.run_pipeline(
        tmp_path / "mapped.yaml", {"classify.epochs": 1}, run_dir, device="cpu", workers=1, quiet=True
    )
    assert result["status"] == "done" and data_of_run(read_run(run_dir))["images"] == images


COLOUR = """\
name: colour
data: {layout: shapes, size: 40, train: 4, val: 1, classes: 1}
stages:
  colour: {uses: colour}
"""


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [True, False])
def test_a_program_with_worker_processes(tmp_path: Path, guarded: bool) -> None:
    (tmp_path / "colour.yaml").write_text(COLOUR)
    guard = 'if __name__ == "__main__":' if guarded else "if True:"
    call = 'wsss.run_pipeline("colour.yaml", run_dir="run", device="cpu", workers=2)["status"]'
    (tmp_path / "program.py").write_text(f"import wsss\n{guard}\n    print({call})\n")
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == ((0, "done\n") if guarded else (1, ""))
    assert ("out of memory" in done.stderr, "__main__" in done.stderr) == (False, not guarded)
