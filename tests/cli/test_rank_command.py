"""``wsss rank``: images by expected gain, tasks for annotation tools, and the way back."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from inprocess import document, refused, small_run, succeed
from PIL import Image

from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask, write_mask


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of pseudo masks and CRF, as the working directory."""
    folder = tmp_path_factory.mktemp("work")
    with small_run(folder, until="crf"):
        yield folder


@pytest.mark.slow
def test_images_are_ranked_by_the_doubt_about_their_masks(work: Path) -> None:
    ranked = document("rank", "small")
    images = ranked["images"]
    assert ranked["masks"] == ["pseudo", "crf"] and ranked["entropy"] == "cam" and ranked["corrected"] == 0
    assert [one["rank"] for one in images] == list(range(1, 7)) and len({one["id"] for one in images}) == 6
    assert [one["gain"] for one in images] == sorted((one["gain"] for one in images), reverse=True)
    for one in images:
        pair = [read_mask(mask_path(work / "runs" / "small" / stage, one["id"])) for stage in ranked["masks"]]
        assert one["disagreement"] == pytest.approx((pair[0] != pair[1]).mean())
        assert one["pixels"] == 32 * 32 and 0 <= one["entropy"] <= 1
        assert 0 <= one["boundary"] < 32 * 32 and (one["boundary"] > 0) == (len(np.unique(pair[1])) > 1)
        extent = one["boundary"] or one["pixels"]
        assert one["gain"] == pytest.approx(extent * (one["disagreement"] + one["entropy"]) / 2)
    assert document("rank", "small", "--workers", "2") == ranked
    text = succeed("rank", "small", "--count", "2").stdout
    assert images[1]["id"] in text and images[2]["id"] not in text


@pytest.mark.slow
def test_masks_of_another_stage(work: Path) -> None:
    ranked = document("rank", "small", "--stage", "pseudo")
    assert ranked["masks"] == ["crf", "pseudo"]
    for one in ranked["images"]:
        mask = read_mask(mask_path(work / "runs" / "small" / "pseudo", one["id"]))
        assert (one["boundary"] > 0) == (len(np.unique(mask)) > 1)
    assert "'classify'" in refused("rank", "small", "--stage", "classify")


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["label-studio", "cvat"])
def test_tasks_come_back_as_corrections(tool: str, work: Path) -> None:
    out = work / tool
    worst = [
        one["id"] for one in document("rank", "small", "--count", "2", "--tasks", tool, "--out", out)["images"][:2]
    ]
    with (out / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows[:2]] == worst and len(rows) == 6
    with Image.open(out / "sheet" / "sheet-1.png") as sheet:
        assert sheet.width > 2 * 240
    source = out / "cvat" / "segmentation_mask_1.1.zip"
    if tool == "label-studio":
        source = out / tool / "tasks.json"
        tasks = json.loads(source.read_text())
        assert [task["data"]["image_id"] for task in tasks] == worst
        assert sorted((out / tool / "images").iterdir())
        source.write_text(json.dumps([{**task, "annotations": task["predictions"]} for task in tasks]))
    options = ("--out", work / f"{tool}-corrections", "--empty", "background")  # a task without regions is background
    imported = document("import-masks", source, "--run", "small", *options)["imported"]
    assert set(imported) == set(worst)
    for id in worst:
        expected = read_mask(mask_path(work / "runs" / "small" / "crf", id))
        assert np.array_equal(read_mask(mask_path(work / f"{tool}-corrections", id)), expected)


@pytest.mark.slow
def test_corrected_images_are_left_out(work: Path) -> None:
    worst = document("rank", "small")["images"][0]["id"]
    write_mask(work / "one" / f"{worst}.png", np.ones((32, 32), np.uint8))
    run = work / "copy" / "small"
    shutil.copytree(work / "runs" / "small", run)
    succeed("import-masks", work / "one", "--run", run)
    ranked = document("rank", run)
    assert ranked["corrected"] == 1 and worst not in {one["id"] for one in ranked["images"]}


@pytest.mark.slow
@pytest.mark.parametrize("written", ["{work}/own", "~/own"])
def test_images_corrected_for_one_stage_are_left_out(work: Path, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(work))
    worst = document("rank", "small")["images"][0]["id"]
    write_mask(work / "two" / f"{worst}.png", np.ones((32, 32), np.uint8))
    succeed("import-masks", work / "two", "--run", "small", "--out", work / "own", "--force")
    run = work / "copy" / "own"
    shutil.copytree(work / "runs" / "small", run, dirs_exist_ok=True)
    record = json.loads((run / "run.json").read_text())
    record["pipeline"]["stages"]["crf"]["with"]["corrections"] = written.format(work=work)
    (run / "run.json").write_text(json.dumps(record))
    assert document("rank", run)["corrected"] == 1


@pytest.mark.slow
def test_what_cannot_be_ranked_is_refused(work: Path) -> None:
    assert "--out" in refused("rank", "small", "--tasks", "cvat")
    assert "'trian'" in refused("rank", "small", "--split", "trian")
    (work / "mine").mkdir(exist_ok=True)
    (work / "mine" / "x.txt").write_text("mine")
    assert "mine" in refused("rank", "small", "--out", "mine", "--force")
    with contextlib.chdir(work):
        succeed("run", "small.yaml", "--workers", "1", "--until", "classify", "--run-dir", "early")
        assert "early" in refused("rank", "./early")
