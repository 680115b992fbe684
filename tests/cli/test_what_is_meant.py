"""What a newcomer types instead: each mistake is answered by what was meant, or by what is wrong and a hint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from learning import random_segmenter

from wsss.cli.main import _call, cli
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with six photographs and their labels."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    rows = ["image,label"]
    for number in range(6):
        write_png(tmp_path / "photos" / f"p{number}.png", generator.integers(0, 255, (20, 24, 3), dtype=np.uint8))
        rows.append(f"p{number}.png,{('cat', 'dog')[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def refused(*arguments: object, capsys: pytest.CaptureFixture[str]) -> str:
    assert _call([str(one) for one in arguments]) == 2
    return capsys.readouterr().err


def init(out: str = "mine") -> Result:
    return call("init", "--images", "photos", "--labels", "labels.csv", "--out", out, "--weights", "none")


@pytest.mark.parametrize(
    ("command", "option"), [("init", "--images"), ("predict", "--images"), ("score", "--pred"), ("crf", "--masks")]
)
def test_a_word_without_its_option(here: Path, command: str, option: str) -> None:
    done = call(command, "photos")
    assert done.exit_code == 2 and f"Did you mean '{option} photos'?" in done.output
    assert "Missing option" in call(command).output


def test_options_of_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init().exit_code == 0
    for wrong, right in (
        ("--out", "'--run-dir'"),
        ("--seed", "'--set seed=VALUE'"),
        ("--epochs", "--set classify.epochs=VALUE"),
        ("--data.root", "'--set data.root=VALUE'"),
    ):
        said = call("run", "mine", wrong, "1").output
        assert "No such option" in said and right in said
    said = refused("run", "mine", "--set", "epochs=1", "--dry-run", capsys=capsys)
    assert "--set classify.epochs=1" in said and "--set segment.epochs=1" in said
    assert "did you mean 'classify'" in refused("run", "mine", "--set", "clasify.epochs=1", capsys=capsys)


def test_names_of_pipelines_and_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init("wsss-photos").exit_code == 0
    (here / "other.yaml").write_text("a: 1\n")
    (here / "mine.yaml").write_text("stages: {}\n")
    said = refused("run", "wsss-photo", capsys=capsys)
    assert "did you mean 'wsss-photos'?" in said and "wsss-photos or mine.yaml" in said
    assert "did you mean 'wsss-photos/pipeline.yaml'?" not in said
    assert "did you mean 'mine.yaml'?" in refused("run", "mien.yaml", capsys=capsys)
    assert "wsss init --images photos" in refused("run", "photos", capsys=capsys)
    assert "has not been run here: wsss run wsss-photos" in refused("status", "wsss-photos", capsys=capsys)
    assert "Pipelines that can be run: wsss-photos" in refused("status", "x", capsys=capsys)
    write_json(here / "runs" / "photos" / "run.json", {"format": 1, "name": "photos", "status": "done", "stages": []})
    assert "its run is runs/photos: give photos" in refused("status", "wsss-photos", capsys=capsys)
    assert "runs/photos is a run: wsss status photos" in refused("run", "photos", capsys=capsys)


def test_init_and_check_agree_on_problems(here: Path) -> None:
    """What init leaves out doesn't count; what stays in the pipeline does."""
    (here / "photos" / "p0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = init("first")
    assert done.exit_code == 0 and "unreadable images, left out: 1" in done.stderr
    assert call("data", "check", "first").exit_code == 0
    rows = ["image,label,split", "a.png,cat,train", "b.png,dog,train", "c.png,cat,val"]
    (here / "labels.csv").write_text("\n".join(rows) + "\n")
    for name in "abc":
        write_png(here / "photos" / f"{name}.png", np.full((20, 24, 3), 9 if name in "ac" else 1, np.uint8))
    done = init("second")
    assert done.exit_code == 2 and (here / "second" / "pipeline.yaml").is_file()
    assert "Solve the problems above first" in done.stderr
    assert call("data", "check", "second").exit_code == 2


def test_one_is_no_plural(here: Path) -> None:
    (here / "labels.csv").write_text("image,label\n" + "".join(f"p{n}.png,{'cat' * (n % 2)}\n" for n in range(6)))
    done = init()
    assert "photos: 1 class" in done.stderr and "1 classes" not in done.stderr
    assert '6 labelled images, 1 class"' in (here / "mine" / "pipeline.yaml").read_text()


def test_broken_and_missing_images_are_named_together(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init().exit_code == 0
    train = (here / "mine" / "splits" / "train.txt").read_text().split()
    for name in train[:2]:
        (here / "photos" / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    checked = call("data", "check", "mine")
    assert checked.exit_code == 2 and "unreadable images: 2" in checked.stdout
    assert "wsss init --force" in checked.stdout
    assert _call(["run", "mine", "--until", "classify", "--run-dir", "r", "--workers", "0"]) != 0
    said = capsys.readouterr().err
    assert all(f"{name}.png" in said for name in train[:2]), said
    assert "wsss init --force" in said and f"2 of {len(train)} training images" in said
    for name in train[:2]:
        (here / "photos" / f"{name}.png").unlink()
    said = refused("run", "mine", "--dry-run", capsys=capsys)
    assert "2 of 6 listed images are missing or ambiguous" in said and all(name in said for name in train[:2])


@pytest.mark.parametrize("classes", [False, True])
def test_masks_of_0_and_255_hold_no_class(here: Path, classes: bool, capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.zeros((20, 24), np.uint8)
    mask[4:9] = 255
    write_mask(here / "masks" / "p0.png", mask)
    (here / "classes.txt").write_text("road\n")
    listed = ["--classes", "classes.txt"] if classes else []
    said = refused("export", "masks", "--format", "coco", "--out", "out", *listed, capsys=capsys)
    assert "255 means ignored" in said and "--data.mask_values" in said
    stated = ["--data.mask_values", "{0: background, 255: road}", *listed]
    assert call("export", "masks", "--format", "coco", "--out", "out", *stated).exit_code == 0
    document = json.loads((here / "out" / "annotations.json").read_text())
    assert [one["name"] for one in document["categories"]] == ["road"]
    assert [one["area"] for one in document["annotations"]] == [5 * 24]
    write_mask(here / "masks" / "p0.png", mask * 0)
    if not classes:
        assert "no class to export" in refused("export", "masks", "--format", "coco", "--out", "o", capsys=capsys)


def test_a_prediction_with_failed_images(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = random_segmenter(tmp_path / "model")
    (here / "photos" / "p3.png").write_bytes(b"no image")
    assert _call(["predict", "--weights", str(model), "--images", "photos", "--out", "pred", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "failed" and set(document["failed"]) == {"p3"}
    assert document["failed"]["p3"]["file"] == "p3.png" and "1 of 6 images failed" in document["error"]
    said = refused("score", "--pred", "pred", "--data.root", "photos", capsys=capsys)
    assert "1 image has no mask" in said and "p3" in said and "images.json" in said and "Repair" in said


def test_a_smoothed_mask_is_explained_first(tmp_path: Path) -> None:
    from wsss.data.sample import Classes, Sample, read_truth

    mask = np.zeros((20, 24), np.uint8)
    mask[5:12] = 1
    mask[12] = np.arange(24) * 5 + 30
    write_mask(tmp_path / "m.png", mask)
    with pytest.raises(InvalidInput) as error:
        read_truth(Sample("m", tmp_path / "m.jpg", mask=tmp_path / "m.png"), Classes(("background", "a"), ((0,), (1,))))
    hint = str(error.value.hint)
    assert hint.index("nearest neighbour") < hint.index("mask_values")


def test_partly_unnamed_ground_truth_is_noted(here: Path) -> None:
    """Some masks hold classes, one only 0 and 255: it scores as ignored, which is said."""
    for number in range(3):
        mask = np.zeros((20, 24), np.uint8)
        mask[3:9] = 1 if number else 255
        write_mask(here / "set" / "masks" / f"p{number}.png", mask)
        write_mask(here / "pred" / f"p{number}.png", (mask > 0).astype(np.uint8))
        write_png(here / "set" / "images" / f"p{number}.png", np.zeros((20, 24, 3), np.uint8))
    (here / "set" / "classes.txt").write_text("cat\n")
    (here / "set" / "splits").mkdir()
    (here / "set" / "splits" / "val.txt").write_text("p0\np1\np2\n")
    for said in (
        call("data", "check", "set").output,
        call("score", "--pred", "pred", "--data.root", "set", "--split", "val").stderr,
    ):
        assert "no class; if 255 is the value of a class" in said and "p0.png" in said and "p1.png" not in said
    scored = call("score", "--pred", "pred", "--data.root", "set", "--split", "val")
    assert "None" not in scored.stdout and "provenance" not in scored.stdout
