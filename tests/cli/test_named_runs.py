"""A run is named by its path, or by its name below ``runs/``, whatever lies beside it under the same name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from wsss.cli.main import cli, main
from wsss.cli.named_runs import is_run, named_input, named_run
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.io.text.printable import printable


def finished_stage(folder: Path, uses: str, provides: str, **fields: object) -> Path:
    record = {
        "identity": "0" * 64, "id": folder.name, "uses": uses, "provides": provides, "status": "done", "seconds": 1.0,
        "config": {}, "metrics": {}, "provenance": {}, "inputs": {}, "artifacts": {}, "finished": None,
    }  # fmt: skip
    write_json(folder / "stage.json", {**record, **fields})
    return folder


def finished_run(folder: Path, name: str) -> Path:
    """Write a run with one stage that has one mask."""
    stage = finished_stage(folder / "predict", "predict", "masks")
    write_mask(stage / "masks" / "a.png", np.ones((4, 6), np.uint8))
    stages = [{"id": "predict", "uses": "predict", "needs": []}]
    write_json(
        folder / "run.json",
        {"format": 1, "name": name, "status": "done", "stages": stages, "pipeline": {}, "report": None},
    )
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photographs under ``photos`` and ``walls`` and a run of each name."""
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "photos" / "images" / "a.png", np.zeros((4, 6, 3), np.uint8))
    write_png(tmp_path / "walls" / "a.png", np.zeros((4, 6, 3), np.uint8))
    finished_run(tmp_path / "runs" / "photos", "photos")
    finished_run(tmp_path / "runs" / "walls", "walls")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize("name", ["photos", "walls", "photos/"])
def test_a_folder_of_the_same_name_hides_no_run(name: str, here: Path) -> None:
    bare = name.rstrip("/")
    status = call("status", name, "--json")
    assert json.loads(status.stdout)["run_dir"] == f"runs/{bare}"
    assert call("report", name).exit_code == 0
    assert (here / "runs" / bare / "report" / "index.html").is_file()
    done = call("export", name, "--format", "voc", "--out", "voc", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["images"] == 1


def test_a_path_that_fits_is_taken(here: Path) -> None:
    for path in ("runs/photos", "./runs/photos", str(here / "runs" / "photos")):
        assert named_run(path).resolve() == (here / "runs" / "photos").resolve()
    finished_run(here / "mine", "mine")
    assert named_run("mine") == Path("mine")
    assert named_run("photos/predict") == Path("runs/photos/predict")


def test_two_runs_of_one_name_are_told_apart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished_run(here / "photos", "other")
    with pytest.raises(SystemExit) as ended:
        main(["status", "photos"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "both photos and runs/photos" in said and "./photos" in said
    assert named_run("./photos") == Path("photos")
    assert named_run("runs/photos") == Path("runs/photos")


def test_a_link_to_the_run_itself_is_not_ambiguous(here: Path) -> None:
    (here / "linked").symlink_to(here / "runs" / "walls")
    (here / "runs" / "linked").symlink_to(here / "runs" / "walls")
    assert named_run("linked") == Path("linked")


@pytest.mark.parametrize(
    ("name", "near"), [("fotos", "photos"), ("wall", "walls"), ("wsss-photos", "photos"), ("./photos", "photos")]
)
def test_the_error_lists_the_runs_and_the_closest(name: str, near: str, here: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        named_run(name)
    assert error.value.message.startswith(name)
    assert error.value.hint is not None and "photos, walls" in error.value.hint and f"{near!r}" in error.value.hint


def test_the_error_without_any_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(InvalidInput, match="no run below runs/"):
        named_run("photos")


def test_export_takes_any_folder_of_masks(here: Path) -> None:
    write_mask(here / "masks" / "b.png", np.ones((4, 6), np.uint8))
    assert call("export", "masks", "--format", "voc", "--out", "voc").exit_code == 0
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    for path in (here / "photos" / "images").glob("*.png"):
        write_png(path, colours)
    done = call("export", "photos/images", "--format", "voc", "--out", "other")
    assert done.exit_code != 0  # photographs are no masks, and runs/photos/images does not exist


def test_report_wants_runs(here: Path) -> None:
    finished_stage(here / "walls", "score", "scores")  # a stage beside the run of its name
    assert named_run("walls", fits=is_run) == Path("runs/walls")
    with pytest.raises(InvalidInput, match="ambiguous"):
        named_run("walls")


def test_several_runs_of_a_report_by_name(here: Path) -> None:
    done = call("report", "photos", "walls", "--out", "page", "--json")
    assert done.exit_code == 0 and (here / "page" / "index.html").is_file()


def test_inputs_of_stages(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes: list[str] = []
    assert named_input("photos/predict", option="--pred", log=notes.append) == Path("runs/photos/predict")
    assert notes == []
    assert named_input("walls", option="--pred", log=notes.append) == Path("walls")
    assert len(notes) == 1 and "runs/walls/STAGE" in notes[0]
    for option in ("photos", "runs/photos"):
        with pytest.raises(SystemExit) as ended:
            main(["score", "--pred", option, "--data.root", str(here)])
        assert ended.value.code == 2
    assert "runs/photos/predict" in capsys.readouterr().err  # the stage to name instead of the run


def test_stages_that_take_whole_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--scores", "photos"])
    assert ended.value.code == 2
    assert "--scores runs/photos: no finished stage of this run provides scores" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", "--scores", "phots"])
    assert "did you mean 'photos'" in capsys.readouterr().err.lower()


def test_run_takes_the_folder_of_a_pipeline(here: Path) -> None:
    (here / "wsss-photos").mkdir()
    (here / "wsss-photos" / "pipeline.yaml").write_text(
        "name: mine\ndata: {layout: shapes, size: 32, classes: 1, train: 2, val: 2}\n"
        "stages:\n  colour: {uses: colour, with: {splits: [val]}}\n"
    )
    done = call("run", "wsss-photos", "--dry-run", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["run_dir"] == "runs/mine"


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20)
)
def test_any_name_is_found_or_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        named_run(name)
    assert printable(name) in str(error.value)
