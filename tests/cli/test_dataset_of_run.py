"""The dataset of a finished run: from another folder, without the environment of the run, with unusual names."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from inprocess import invoke, refused, succeed, wsss

from wsss.cli.commands.init import _warn_of_other_run
from wsss.cli.options.field_options import as_source, variable
from wsss.io.files.atomic import write_json
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.io.text.yaml_text import yaml_text
from wsss.pipeline.store.run_folder import data_of_run, read_run, write_run
from wsss.stages import STAGES
from wsss.stages.common.input_masks.mask_source import _predicted_images
from wsss.whole_run import run_pipeline


def make_dataset(root: Path, ids: str, split: str = "val") -> None:
    """Write images of one letter each, left half background, right half cat."""
    mask = np.zeros((16, 16), np.uint8)
    mask[:, 8:] = 1
    for number, name in enumerate(ids):
        write_png(root / "images" / f"{name}.png", np.full((16, 16, 3), 60 * number, np.uint8))
        write_mask(root / "masks" / f"{name}.png", mask)
    (root / "classes.txt").write_text("cat\n")
    (root / "labels.csv").write_text("image_id,labels\n" + "".join(f"{name},cat\n" for name in ids))
    (root / "splits").mkdir()
    (root / "splits" / f"{split}.txt").write_text("\n".join(ids) + "\n")


def splits_of(*arguments: object) -> dict[str, int]:
    """Return the number of images of each split, as ``wsss data check`` prints it."""
    splits = json.loads(wsss("data", "check", *arguments, "--json").stdout)["splits"]
    return {name: counts["images"] for name, counts in splits.items()}


Run = Callable[[Path, str], Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a pipeline on a dataset from a folder, and leaves the folder."""
    monkeypatch.setattr("wsss.io.process.cores.bound_cores", lambda: 1)
    (tmp_path / "elsewhere").mkdir()

    def in_folder(folder: Path, root: str) -> Path:
        monkeypatch.chdir(folder)
        stage = "{uses: tiles, with: {split: val, size: 4, count: 4}}"
        data = f"{{root: {yaml_text(root)}}}"
        Path("p.yaml").write_text(f"name: p\ndata: {data}\nstages: {{cut: {stage}}}\n", encoding="utf-8")
        succeed("run", "p.yaml")
        monkeypatch.chdir(tmp_path / "elsewhere")
        return folder / "runs" / "p"

    return in_folder


def test_the_environment_of_the_run_is_not_needed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(tmp_path / "work" / "data" / "base", "ab")
    monkeypatch.setenv("DATA", "data")
    folder = run(tmp_path / "work", "${{ env.DATA }}/base")
    record = (folder / "cut" / "stage.json").read_text()
    monkeypatch.delenv("DATA")
    assert json.loads((folder / "run.json").read_text())["pipeline"]["data"] == {"root": "data/base"}
    assert splits_of(folder) == {"val": 2}
    assert succeed("report", folder).stderr.count("missing") == 0
    again = run(tmp_path / "work", "data/base")  # no identity depends on how the root is written
    assert (again / "cut" / "stage.json").read_text() == record


def test_the_dataset_of_the_run_precedes_another_of_the_same_name(run: Run, tmp_path: Path) -> None:
    make_dataset(tmp_path / "work" / "cats", "ab")
    make_dataset(tmp_path / "elsewhere" / "cats", "xyz")
    folder = run(tmp_path / "work", "cats")
    assert splits_of(folder) == {"val": 2}
    assert data_of_run(read_run(folder)) == {"root": str(tmp_path / "work" / "cats")}
    note = f"--data.root {tmp_path / 'elsewhere' / 'cats'}."
    for command in (("data", "check", folder), ("report", folder, "--out", "page")):
        assert wsss(*command).stderr.count(note) == 1
        assert note not in wsss(*command, "--data.root", "cats").stderr
    (tmp_path / "work" / "cats").rename(tmp_path / "work" / "renamed")
    assert splits_of(folder) == {"val": 3}  # moved, perhaps to another machine
    (tmp_path / "elsewhere" / "cats").rename(tmp_path / "elsewhere" / "renamed")
    assert "cats" in str(invoke("data", "check", folder).exception)


def test_init_warns_of_a_run_on_another_folder_of_the_same_name(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_dataset(tmp_path / "work" / "cats", "ab")
    make_dataset(tmp_path / "elsewhere" / "cats", "xyz")
    shutil.copytree(run(tmp_path / "work", "cats"), tmp_path / "elsewhere" / "runs" / "p")
    _warn_of_other_run("p", Path("cats"))
    assert str(tmp_path / "work" / "cats") in capsys.readouterr().err
    _warn_of_other_run("p", tmp_path / "work" / "cats")
    assert capsys.readouterr().err == ""


def test_init_warns_of_a_run_on_generated_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of `wsss run quickstart`, if the user's folder of images is called quickstart."""
    with contextlib.chdir(tmp_path):
        for data, warned in (({"layout": "shapes", "size": 32}, True), ({}, False)):
            write_run(Path("runs/quickstart"), {"name": "quickstart", "pipeline": {"data": data}, "stages": []})
            _warn_of_other_run("quickstart", tmp_path / "wsss-quickstart")
            assert ("shapes" in capsys.readouterr().err) is warned


def test_the_root_is_unchanged_in_the_folder_of_the_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path / "work" / "cats", "ab")
    folder = run(tmp_path / "work", "cats")
    monkeypatch.chdir(tmp_path / "work")
    assert data_of_run(read_run(folder)) == {"root": "cats"}
    assert data_of_run({"pipeline": {"data": {"root": "~/x"}}, "directory": "/y"}) == {"root": "~/x"}
    assert data_of_run(None) == {}


def test_predicted_images_of_the_run_precede_others_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {
        "identity": "0" * 64, "id": "predict", "uses": "predict", "provides": "masks", "status": "done", "seconds": 1.0,
        "config": {"images": "photos"}, "metrics": {}, "provenance": {}, "inputs": {}, "artifacts": {},
        "finished": None,
    }  # fmt: skip
    write_json(tmp_path / "predict" / "stage.json", record)
    for folder in ("work", "elsewhere"):
        write_png(tmp_path / folder / "photos" / "a.png", np.zeros((4, 6, 3), np.uint8))
    monkeypatch.chdir(tmp_path / "elsewhere")
    for work, expected in (("work", tmp_path / "work" / "photos"), ("gone", Path("photos"))):
        images = _predicted_images(None, tmp_path / "predict", {"a": "a.png"}, {"directory": str(tmp_path / work)})
        assert images == {"a": expected / "a.png"}


@pytest.mark.parametrize("name", ["cats \U0001f600", "a\x7fb", "a\u2028b"])
def test_paths_with_any_characters(name: str, run: Run, tmp_path: Path) -> None:
    make_dataset(tmp_path / "work" / name, "ab")
    folder = run(tmp_path / "work", name)
    assert succeed("report", folder).stderr.count("missing") == 0
    plan = run_pipeline(tmp_path / "work" / "p.yaml", {"data.root": tmp_path / "work" / name}, folder, dry_run=True)
    assert plan["stages"][0]["action"] == "skip"


@pytest.mark.parametrize("split", ["1", "001", "true", "null", "1e3"])
def test_splits_named_like_numbers(split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(tmp_path / "d", "ab", split)
    (tmp_path / "d" / "splits" / "other.txt").write_text("a\n")
    monkeypatch.chdir(tmp_path)
    assert splits_of("d", "--data.splits", f"[{split}]") == {split: 2}
    if split != "null":  # null: all splits, as if the option were absent
        assert splits_of("d", "--data.splits", split) == {split: 2}
        assert splits_of("d", "--data.splits", f"{split},other") == {split: 2, "other": 1}
    sources = as_source(STAGES["cam"], {variable("splits"): f"{split},other", variable("scales"): "1,.5"})
    assert sources["splits"].value == {"splits": [split, "other"]} and sources["scales"].value == {"scales": [1, 0.5]}
    message = refused("pseudo", "--cams", "none", "--splits", split, "--out", "p", "--data.root", "d")
    assert "none" in message and "expected text" not in message
