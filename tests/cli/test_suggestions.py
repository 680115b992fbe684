"""Typical mistakes of new users: each gets a suggestion or a hint."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from inprocess import refused, succeed, wsss
from learning import random_segmenter

from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with six images and their labels."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    rows = ["image,label"]
    for number in range(6):
        write_png(tmp_path / "photos" / f"p{number}.png", generator.integers(0, 255, (20, 24, 3), dtype=np.uint8))
        rows.append(f"p{number}.png,{('cat', 'dog')[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def init(out: str = "mine") -> subprocess.CompletedProcess[str]:
    return wsss("init", "--images", "photos", "--labels", "labels.csv", "--out", out, "--weights", "none")


@pytest.mark.parametrize(
    ("command", "option"), [("init", "--images"), ("predict", "--images"), ("score", "--pred"), ("crf", "--masks")]
)
def test_argument_without_its_option(here: Path, command: str, option: str) -> None:
    assert f"Did you mean '{option} photos'?" in refused(command, "photos")
    assert "Missing option" in refused(command)


@pytest.mark.parametrize(
    ("command", "lists", "hint"),
    [
        ("pseudo", ["--splits", "train", "--splits=val"], "'--splits NAME,…'"),
        ("export", ["--ids", "a,b", "--ids", "@ids.txt"], "'--ids A,B,…|@FILE'"),
        ("predict", ["--scales", "1,0.5", "--scales", "2", "--scales", "3"], "given 3 times"),
        ("data check .", ["--data.splits", "train", "--data.splits", "val"], "--data.splits '[A, B]'"),
        ("data check .", ["--data.classes=[cat]", "--data.classes", "null"], "--data.classes '[A, B]'"),
    ],
)
def test_list_given_twice(command: str, lists: list[str], hint: str) -> None:
    """No list is ignored silently."""
    assert hint in refused(*command.split(), *lists)


def test_help_after_a_list_given_twice() -> None:
    assert "Superpixels" in succeed("snap", "--splits", "a", "--splits", "b", "-h").stdout


def test_scalar_given_twice_takes_the_last_one(here: Path) -> None:
    init()
    plan = json.loads(succeed("run", "mine", "--dry-run", "--json", "--until", "segment", "--until", "classify").stdout)
    assert [stage["id"] for stage in plan["stages"] if stage["action"] == "run"] == ["classify"]


def test_settings_of_a_run(here: Path) -> None:
    init()
    message = refused("run", "mine", "--set", "epochs=1", "--dry-run")
    assert "--set classify.epochs=1" in message and "--set segment.epochs=1" in message
    assert "did you mean 'classify'" in refused("run", "mine", "--set", "clasify.epochs=1")


def test_names_of_pipelines_and_runs(here: Path) -> None:
    init("wsss-photos")
    (here / "other.yaml").write_text("a: 1\n")
    (here / "mine.yaml").write_text("stages: {}\n")
    message = refused("run", "wsss-photo")
    assert "did you mean 'wsss-photos'?" in message and "wsss-photos" in message and "mine.yaml" in message
    assert "did you mean 'mine.yaml'?" in refused("run", "mien.yaml")
    assert "wsss init --images photos" in refused("run", "photos")
    assert "wsss run wsss-photos" in refused("status", "wsss-photos")
    assert "wsss-photos" in refused("status", "x")
    write_json(here / "runs" / "photos" / "run.json", {"format": 1, "name": "photos", "status": "done", "stages": []})
    assert "runs/photos" in refused("status", "wsss-photos")
    assert "wsss status photos" in refused("run", "photos")


def test_init_and_check_agree_on_problems(here: Path) -> None:
    """Images skipped by init are no problem of the pipeline; others are."""
    (here / "photos" / "p0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = init("first")
    assert done.returncode == 0 and "p0.png" in done.stderr
    succeed("data", "check", "first")
    rows = ["image,label,split", "a.png,cat,train", "b.png,dog,train", "c.png,cat,val"]
    (here / "labels.csv").write_text("\n".join(rows) + "\n")
    for name in "abc":
        write_png(here / "photos" / f"{name}.png", np.full((20, 24, 3), 9 if name in "ac" else 1, np.uint8))
    assert init("second").returncode == 2 and (here / "second" / "pipeline.yaml").is_file()
    assert wsss("data", "check", "second").returncode == 2


def test_singular_of_counts(here: Path) -> None:
    (here / "labels.csv").write_text("image,label\n" + "".join(f"p{n}.png,{'cat' * (n % 2)}\n" for n in range(6)))
    message = init().stderr
    assert "photos: 1 class" in message and "1 classes" not in message
    assert '6 labelled images, 1 class"' in (here / "mine" / "pipeline.yaml").read_text()


def test_broken_and_missing_images_are_listed_together(here: Path) -> None:
    init()
    train = (here / "mine" / "splits" / "train.txt").read_text().split()
    for name in train[:2]:
        (here / "photos" / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    checked = wsss("data", "check", "mine")
    assert checked.returncode == 2 and "wsss init --force" in checked.stdout
    run = wsss("run", "mine", "--until", "classify", "--run-dir", "r", "--workers", "0")
    assert run.returncode != 0 and "wsss init --force" in run.stderr and f"2 of {len(train)}" in run.stderr
    assert all(f"{name}.png" in run.stderr for name in train[:2])
    for name in train[:2]:
        (here / "photos" / f"{name}.png").unlink()
    message = refused("run", "mine", "--dry-run")
    assert "2 of 6" in message and all(name in message for name in train[:2])


@pytest.mark.parametrize("classes", [False, True])
def test_masks_of_0_and_255_have_no_class(here: Path, classes: bool) -> None:
    mask = np.zeros((20, 24), np.uint8)
    mask[4:9] = 255
    write_mask(here / "masks" / "p0.png", mask)
    (here / "classes.txt").write_text("road\n")
    listed = ["--classes", "classes.txt"] if classes else []
    export = ["export", "masks", "--format", "coco", "--out", "out"]
    message = refused(*export, *listed)
    assert "255" in message and "--data.mask_values" in message
    succeed(*export, "--data.mask_values", "{0: background, 255: road}", *listed)
    document = json.loads((here / "out" / "annotations.json").read_text())
    assert [category["name"] for category in document["categories"]] == ["road"]
    assert [annotation["area"] for annotation in document["annotations"]] == [5 * 24]
    write_mask(here / "masks" / "p0.png", mask * 0)
    if not classes:
        refused(*export[:-1], "o")


def test_prediction_with_failed_images(here: Path, tmp_path: Path) -> None:
    model = random_segmenter(tmp_path / "model")
    (here / "photos" / "p3.png").write_bytes(b"no image")
    done = wsss("predict", "--weights", model, "--images", "photos", "--out", "pred", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1 and document["status"] == "failed" and set(document["failed"]) == {"p3"}
    assert document["failed"]["p3"]["file"] == "p3.png" and "1 of 6 images failed" in document["error"]
    message = refused("score", "--pred", "pred", "--data.root", "photos")
    assert "p3" in message and "images.json" in message


def test_first_hint_on_an_antialiased_mask(tmp_path: Path) -> None:
    from wsss.data.classes import Classes
    from wsss.data.sample import Sample
    from wsss.data.sample_mask import read_sample_mask

    mask = np.zeros((20, 24), np.uint8)
    mask[5:12] = 1
    mask[12] = np.arange(24) * 5 + 30
    write_mask(tmp_path / "m.png", mask)
    sample = Sample("m", tmp_path / "m.jpg", mask=tmp_path / "m.png")
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(sample, Classes(("background", "a"), ((0,), (1,))))
    hint = str(error.value.hint)
    assert hint.index("nearest neighbour") < hint.index("mask_values")


def test_note_on_masks_of_only_0_and_255(here: Path) -> None:
    for number in range(3):
        mask = np.zeros((20, 24), np.uint8)
        mask[3:9] = 1 if number else 255
        mask[0, 0] = 255  # an ignored pixel: 255 may well mean ignore
        write_mask(here / "set" / "masks" / f"p{number}.png", mask)
        write_mask(here / "pred" / f"p{number}.png", (mask > 0).astype(np.uint8))
        write_png(here / "set" / "images" / f"p{number}.png", np.zeros((20, 24, 3), np.uint8))
    (here / "set" / "classes.txt").write_text("cat\n")
    (here / "set" / "splits").mkdir()
    (here / "set" / "splits" / "val.txt").write_text("p0\np1\np2\n")
    scored = succeed("score", "--pred", "pred", "--data.root", "set", "--split", "val")
    for text in (succeed("data", "check", "set").stdout, scored.stderr):
        assert "255" in text and "p0.png" in text and "p1.png" not in text
    assert "None" not in scored.stdout and "provenance" not in scored.stdout
