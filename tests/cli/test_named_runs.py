"""Runs given by path, or by name below ``runs/``, whatever else has the same name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inprocess import document, refused, succeed, wsss

from wsss.cli.named_runs import is_run, named_input, named_run
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.io.text.printable import printable


def finished_stage(folder: Path, uses: str, provides: str) -> Path:
    record = {
        "identity": "0" * 64, "id": folder.name, "uses": uses, "provides": provides, "status": "done", "seconds": 1.0,
        "config": {}, "metrics": {}, "provenance": {}, "inputs": {}, "artifacts": {}, "finished": None,
    }  # fmt: skip
    write_json(folder / "stage.json", record)
    return folder


def finished_run(folder: Path, name: str) -> None:
    """Write a run of one stage with one mask."""
    stage = finished_stage(folder / "predict", "predict", "masks")
    write_mask(stage / "masks" / "a.png", np.ones((4, 6), np.uint8))
    stages = [{"id": "predict", "uses": "predict", "needs": []}]
    record = {"format": 1, "name": name, "status": "done", "stages": stages, "pipeline": {}, "report": None}
    write_json(folder / "run.json", record)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images in ``photos`` and ``walls``, and a run of each name."""
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "photos" / "images" / "a.png", np.zeros((4, 6, 3), np.uint8))
    write_png(tmp_path / "walls" / "a.png", np.zeros((4, 6, 3), np.uint8))
    finished_run(tmp_path / "runs" / "photos", "photos")
    finished_run(tmp_path / "runs" / "walls", "walls")
    return tmp_path


@pytest.mark.parametrize("name", ["photos", "walls/"])
def test_run_takes_precedence_over_an_unrelated_folder(name: str, here: Path) -> None:
    bare = name.rstrip("/")
    assert document("status", name)["run_dir"] == f"runs/{bare}"
    succeed("report", name)
    assert (here / "runs" / bare / "report" / "index.html").is_file()
    assert document("export", name, "--format", "voc", "--out", "voc")["images"] == 1


def test_existing_paths_are_used(here: Path) -> None:
    for path in ("runs/photos", "./runs/photos", str(here / "runs" / "photos")):
        assert named_run(path).resolve() == (here / "runs" / "photos").resolve()
    finished_run(here / "mine", "mine")
    assert named_run("mine") == Path("mine")
    assert named_run("photos/predict") == Path("runs/photos/predict")


def test_ambiguous_names_are_refused(here: Path) -> None:
    finished_run(here / "photos", "other")
    message = refused("status", "photos")
    assert "both photos and runs/photos" in message and "./photos" in message
    assert named_run("./photos") == Path("photos")
    assert named_run("runs/photos") == Path("runs/photos")


def test_links_to_one_run_are_not_ambiguous(here: Path) -> None:
    (here / "linked").symlink_to(here / "runs" / "walls")
    (here / "runs" / "linked").symlink_to(here / "runs" / "walls")
    assert named_run("linked") == Path("linked")


@pytest.mark.parametrize(
    ("name", "near"), [("fotos", "photos"), ("wall", "walls"), ("wsss-photos", "photos"), ("./photos", "photos")]
)
def test_hint_lists_the_runs_and_the_closest(name: str, near: str, here: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        named_run(name)
    assert error.value.subject == name
    assert error.value.hint is not None and "photos, walls" in error.value.hint and f"{near!r}" in error.value.hint


def test_hint_without_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(InvalidInput) as error:
        named_run("photos")
    assert "no runs under runs/" in str(error.value.hint)


def test_export_takes_any_folder_of_masks(here: Path) -> None:
    write_mask(here / "masks" / "b.png", np.ones((4, 6), np.uint8))
    succeed("export", "masks", "--format", "voc", "--out", "voc")
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    write_png(here / "photos" / "images" / "a.png", colours)
    assert wsss("export", "photos/images", "--format", "voc", "--out", "other").returncode != 0  # not masks


def test_only_runs_fit(here: Path) -> None:
    finished_stage(here / "walls", "score", "scores")  # a stage beside the run of its name
    assert named_run("walls", fits=is_run) == Path("runs/walls")
    with pytest.raises(InvalidInput):
        named_run("walls")


def test_report_compares_runs_by_name(here: Path) -> None:
    succeed("report", "photos", "walls", "--out", "page")
    assert (here / "page" / "index.html").is_file()


def test_inputs_of_stages(here: Path) -> None:
    notes: list[str] = []
    assert named_input("photos/predict", option="--pred", log=notes.append) == Path("runs/photos/predict")
    assert notes == []
    assert named_input("walls", option="--pred", log=notes.append) == Path("walls")
    assert len(notes) == 1 and "runs/walls/STAGE" in notes[0]
    refused("score", "--pred", "photos", "--data.root", here)
    assert "runs/photos/predict" in refused("score", "--pred", "runs/photos", "--data.root", here)
    assert "--scores runs/photos: " in refused("compare", "--scores", "photos")
    assert "Did you mean 'photos'?" in refused("compare", "--scores", "phots")


def test_run_takes_the_folder_of_a_pipeline(here: Path) -> None:
    (here / "wsss-photos").mkdir()
    (here / "wsss-photos" / "pipeline.yaml").write_text(
        "name: mine\ndata: {layout: shapes, size: 32, classes: 1, train: 2, val: 2}\n"
        "stages:\n  colour: {uses: colour, with: {splits: [val]}}\n"
    )
    assert document("run", "wsss-photos", "--dry-run")["run_dir"] == "runs/mine"


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20)
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        named_run(name)
    assert printable(name) in str(error.value)
