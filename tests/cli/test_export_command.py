"""``wsss export``: what it takes masks from, what it refuses, and what it leaves behind."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsss.cli.commands.export import NAMES
from wsss.cli.main import _call
from wsss.data.sample import Classes
from wsss.export.export_formats import FORMATS
from wsss.io.files.atomic import write_json
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.pipeline.stage import Context, Read, Result, Stage, StageConfig
from wsss.stages import STAGES


class DrawConfig(StageConfig):
    """Config of a stage that copies the true masks."""

    splits: tuple[str, ...] = ("val",)
    broken: str | None = None


def _draw(ctx: Context[DrawConfig]) -> Result:
    for sample in ctx.data.samples(ctx.config.splits):
        path = mask_path(ctx.out, sample.id)
        write_mask(path, read_mask(sample.mask))
    return Result({})


DRAW = Stage("draw", 1, DrawConfig, _draw, "masks", "Copy masks.", reads=lambda config: [Read("train", "images")])
COUNT = Stage("number", 1, DrawConfig, lambda ctx: Result({}), "scores", "Nothing.")

PIPELINE = """
name: small
data: {root: data}
stages:
  first: {uses: draw, with: {splits: [train]}}
  second: {uses: draw, with: {splits: [train, val]}}
  score: {uses: number}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """A dataset of three images, and a run of a pipeline on it."""
    STAGES.register("draw", f"{__name__}:DRAW")
    STAGES.register("number", f"{__name__}:COUNT")
    rows = ["image_id,labels,split"]
    for number, (name, split) in enumerate((("a", "train"), ("b", "train"), ("c", "val"))):
        mask = np.zeros((12, 14), np.uint8)
        mask[2:6, 3:9] = 1 + number % 2
        mask[8, 8] = 2
        mask[10, :5] = 255
        write_mask(tmp_path / "data" / "masks" / f"{name}.png", mask)
        write_png(tmp_path / "data" / "images" / f"{name}.png", np.full((12, 14, 3), 40 * number, np.uint8))
        rows.append(f"{name},cat;dog,{split}")
    (tmp_path / "data" / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "data" / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "p.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    assert _call(["run", "p.yaml"]) == 0
    capsys.readouterr()
    yield tmp_path
    STAGES.unregister("draw")
    STAGES.unregister("number")


def export(capsys: pytest.CaptureFixture[str], *arguments: object, out: str = "o") -> dict[str, Any]:
    assert _call(["export", *map(str, arguments), "--out", out, "--json"]) == 0, capsys.readouterr().err
    written: dict[str, Any] = json.loads(capsys.readouterr().out)
    return written


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, out: str = "o", code: int = 2) -> str:
    assert _call(["export", "--out", out, *map(str, arguments)]) == code
    said = capsys.readouterr()
    assert not said.out and "Traceback" not in said.err and "Unexpected" not in said.err
    return said.err


def test_a_runs_last_stage_with_masks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(["export", "small", "--format", "voc", "--out", "o"]) == 0
    said = capsys.readouterr()
    assert said.err == "Exporting the masks of second; choose others with --stage: first.\n"
    assert said.out == "o: 3 masks of small/second as voc, 7 files\n"
    assert sorted(path.name for path in here.glob("o/SegmentationClass/*")) == ["a.png", "b.png", "c.png"]
    assert (here / "o/ImageSets/Segmentation/train.txt").read_text() == "a\nb\n"
    assert np.array_equal(read_mask(here / "o/SegmentationClass/b.png"), read_mask(here / "data/masks/b.png"))
    written = export(capsys, "runs/small", "--stage", "first", "--format", "coco", out="p")
    assert written["masks"] == "small/first" and written["images"] == 2 and written["out"] == "p"
    record = json.loads((here / "p" / "export.json").read_text())
    assert record["made_by"] == "wsss export" and record["files"] == ["annotations.json"]
    assert record["classes"] == ["background", "cat", "dog"]


def test_a_stages_folder_and_a_plain_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(capsys, "runs/small/first", "--format", "voc")["masks"] == "first"
    assert (here / "o/classes.txt").read_text() == "1 cat\n2 dog\n"
    export(capsys, "data/masks", "--data.root", "data", "--format", "voc", "--splits", "val", out="p")
    assert [path.stem for path in here.glob("p/SegmentationClass/*")] == ["c"]
    export(capsys, "data", "--data.root", "data", "--data.classes", "[dog]", "--format", "voc", out="q")
    assert set(np.unique(read_mask(here / "q/SegmentationClass/a.png"))) == {0, 2, 255}


def test_masks_without_a_dataset(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = export(capsys, "data/masks", "--format", "coco")
    assert written["classes"] == ["background", "class 1", "class 2"]
    written = export(capsys, "data/masks", "--format", "coco", "--classes", "data/classes.txt", out="p")
    assert written["classes"] == ["background", "cat", "dog"]
    assert "label-studio: unknown images for 3 masks" in refused(
        capsys, "data/masks", "--format", "label-studio", out="q"
    )
    options = ["--images", "data/images", "--side-by-side", "--no-legend"]
    export(capsys, "data/masks", "--format", "overlay", *options, out="q")
    assert Image.open(here / "q" / "a.png").size == (28, 12)
    assert "--splits val: no dataset is given, so there are no splits." in refused(
        capsys, "data/masks", "--format", "coco", "--splits", "val", out="r"
    )


def test_masks_whose_images_are_gone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "data" / "images").rename(here / "photos")
    where = ["small", "--data.layout", "folder", "--data.root", "data"]
    assert _call(["export", *where, "--format", "coco", "--out", "o"]) == 0
    assert "note: missing images for 3 of 3 masks: a, b, c." in capsys.readouterr().err
    document = json.loads((here / "o" / "annotations.json").read_text())
    assert [one["file_name"] for one in document["images"]] == ["a", "b", "c"] and len(document["annotations"]) == 8
    for format_name, *options in (("voc",), ("cvat",), ("polygons",)):
        export(capsys, *where, "--format", format_name, *options, out=format_name)
    for arguments in (["--format", "overlay"], ["--format", "coco", "--with-images", "copy"]):
        assert "--data.images DIR" in refused(capsys, *where, *arguments, out="p")
    export(capsys, *where, "--data.images", here / "photos", "--format", "overlay", out="p")
    assert "if the images were moved: --data.images DIR" in refused(
        capsys, *where, "--data.images", "gone", "--images", "photos", "--format", "overlay", out="q"
    )


def test_masks_whose_dataset_is_gone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(capsys, "small", "--format", "coco", out="before")
    (here / "data").rename(here / "elsewhere")
    assert "no folder" in refused(capsys, "small", "--format", "coco")  # nothing says what the masks mean
    classes = Classes(("background", "cat", "dog"), ((0,), (1,), (2,)))
    run = json.loads((here / "runs/small/run.json").read_text())
    run["stages"].append({"id": "net", "uses": "segment", "needs": []})
    (here / "runs/small/run.json").write_text(json.dumps(run))
    write_json(here / "runs/small/net/model.json", {"kind": "segmenter", "classes": classes.to_json()})
    assert _call(["export", "small", "--format", "coco", "--out", "o"]) == 0
    said = capsys.readouterr().err
    assert "data does not exist; the classes are those of runs/small/net/model.json; images and splits" in said
    before, after = (json.loads((here / one / "annotations.json").read_text()) for one in ("before", "o"))
    assert after["annotations"] == before["annotations"] and after["categories"] == before["categories"]
    assert "the dataset is missing, so there are no splits" in refused(
        capsys, "small", "--format", "coco", "--splits", "val", out="p"
    )
    export(capsys, "runs/small/second", "--format", "overlay", "--images", "elsewhere/images", out="p")
    assert export(capsys, "small", "--data.root", "elsewhere", "--format", "voc", out="q")["splits"]["val"] == 1
    assert "no folder" in refused(capsys, "small", "--data.root", "nowhere", "--format", "voc", out="r")
    useless = refused(capsys, "small", "--data.images", "elsewhere/images", "--format", "coco", out="r")
    assert "so data.images has no effect" in useless and "--data.root DIR" in useless


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small", "--classes", "no.txt"], "--classes no.txt: the classes of these masks are known from the dataset"),
        (["small", "--classes", "no.txt"], "leave --classes out; --data.classes selects and renames classes"),
        (["runs/small/first", "--images", "no"], "--images no: the images of these masks are known from"),
        (["data/masks", "--data.root", "data", "--classes", "data/classes.txt"], "--classes data/classes.txt: the"),
        (["data/masks", "--data.root", "data", "--images", "data/images"], "another dataset"),
        (["data/masks", "--images", "no"], "no: no such folder"),
        (["data/masks", "--images", "runs"], "--images runs: no matching image for 3 masks."),
    ],
)  # fmt: skip
def test_what_a_dataset_says_cannot_be_said_again(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message.lower() in refused(capsys, *arguments, "--format", "coco").lower()
    assert not (here / "o").exists()


def test_two_images_of_one_mask(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_png(here / "data/images/a.jpg", np.zeros((12, 14, 3), np.uint8))
    options = ["--format", "coco", "--images", "data/images"]
    said = refused(capsys, "data/masks", *options)
    assert "--images: image id 'a' is ambiguous in data/images" in said
    export(capsys, "data/masks", *options, "--ids", "b,c")  # of these there is one each
    for name in "abc":  # masks beside their images are no second ones
        write_png(here / f"data/masks/{name}.jpg", np.zeros((12, 14, 3), np.uint8))
    export(capsys, "data/masks", "--format", "coco", "--images", "data/masks", "--with-images", "copy", out="p")
    assert sorted(path.name for path in here.glob("p/images/*")) == ["a.jpg", "b.jpg", "c.jpg"]


def test_ids_and_splits(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(capsys, "small", "--format", "voc", "--ids", "c, a")
    assert (here / "o/ImageSets/Segmentation/train.txt").read_text() == "a\n"
    (here / "ids.txt").write_text("b\n\nc\n")
    export(capsys, "small", "--format", "label-studio", "--ids", "@ids.txt", out="p")
    assert [task["data"]["image_id"] for task in json.loads((here / "p/tasks.json").read_text())] == ["b", "c"]
    assert "got 'cc'; did you mean 'c'?" in refused(capsys, "small", "--format", "coco", "--ids", "cc", out="q")
    assert "--ids ,: no id is named" in refused(capsys, "small", "--format", "coco", "--ids", ",", out="q")
    assert "no.txt: no such file" in refused(capsys, "small", "--format", "coco", "--ids", "@no.txt", out="q")
    assert "unknown split" in refused(capsys, "small", "--format", "coco", "--splits", "vall", out="q")
    said = refused(capsys, "small", "--stage", "first", "--format", "coco", "--splits", "val", out="q")
    assert "none of the 2 masks is of split val (1 image)" in said
    assert not (here / "q").exists()


def test_a_run_whose_dataset_lies_elsewhere(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "else" / "where").mkdir(parents=True)
    monkeypatch.chdir(here / "else" / "where")
    assert export(capsys, here / "runs/small", "--format", "coco")["images"] == 3  # relative to where it was run
    (here / "data").rename(here / "moved")
    said = refused(capsys, here / "runs/small", "--format", "coco", out="p")
    assert "data.root" in said or "no folder" in said
    written = export(capsys, here / "runs/small", "--data.root", here / "moved", "--format", "coco", out="p")
    assert written["images"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small"], "Missing option '--format'"),
        (["small", "--format", "bmp"], "'bmp' is not one of 'voc', 'coco', 'cvat'"),
        (["nowhere", "--format", "coco"], "nowhere: neither nowhere nor runs/nowhere is a run"),
        (["data", "--stage", "x", "--format", "coco"], "--stage x: data is not a run directory"),
        (["small", "--stage", "secnd", "--format", "coco"], "expected first or second, got 'secnd'"),
        (["small", "--stage", "secnd", "--format", "coco"], "did you mean 'second'?"),
        (["small", "--stage", "score", "--format", "coco"], "found scores (made by number); allowed are masks"),
        (["runs/small/score", "--format", "coco"], "found scores (made by number); allowed are masks"),
        (["runs", "--format", "coco"], "runs: not a run, a stage's folder or a folder of masks (ID.png)"),
        (["small", "--format", "coco", "--opacity", "0.3"], "with --format coco; only with overlay, sheet."),
        (["small", "--format", "overlay", "--tolerance", "2"], "--tolerance: no effect with --format overlay"),
        (["small", "--format", "voc", "--components"], "--components: no effect with --format voc"),
        (["small", "--format", "coco", "--as", "annotations"], "--as: no effect with --format coco; only with"),
        (["small", "--format", "sheet", "--columns", "0"], "Invalid value for '--columns'"),
        (["small", "--format", "overlay", "--opacity", "2"], "Invalid value for '--opacity'"),
        (["small", "--format", "cvat", "--with-images", "link"], "--with-images link: a zip cannot contain links"),
        (["small", "--format", "coco", "--data.rot", "data"], "data.rot: unknown key"),
        (["small", "--format", "coco", "--data.root"], "Option '--data.root' requires a value"),
        (["data/masks", "--format", "coco", "--classes", "no.txt"], "no.txt: no such file"),
    ],
)  # fmt: skip
def test_mistakes(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in refused(capsys, *arguments)
    assert not (here / "o").exists() and not list(here.glob(".wsss*"))


def test_a_value_that_is_no_class_and_a_broken_mask(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mask(here / "masks" / "a.png", np.full((12, 14), 7, np.uint8))
    for name in FORMATS:
        said = refused(capsys, "masks", "--data.root", "data", "--format", name)
        assert "a.png: unknown mask value" in said
    (here / "masks" / "a.png").write_bytes((here / "data/masks/b.png").read_bytes()[:60])
    assert "a.png: the image is broken or truncated" in refused(
        capsys, "masks", "--data.root", "data", "--format", "coco"
    )
    write_mask(here / "masks" / "a.png", np.zeros((5, 5), np.uint8))
    for name in ("overlay", "sheet"):
        said = refused(capsys, "masks", "--data.root", "data", "--format", name)
        assert "the mask is 5×5 (width×height), its image 14×12" in said
    assert not (here / "o").exists() and not list(here.glob(".wsss*"))


def test_a_folder_that_is_not_empty(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(capsys, "small", "--format", "coco")
    before = (here / "o" / "annotations.json").read_bytes()
    assert "--out o: the folder is not empty." in refused(capsys, "small", "--format", "voc")
    (here / "data/masks/b.png").unlink()  # of the dataset, not of the run
    write_mask(here / "bad" / "a.png", np.full((12, 14), 7, np.uint8))
    refused(capsys, "bad", "--data.root", "data", "--format", "voc", "--force")
    assert (here / "o" / "annotations.json").read_bytes() == before  # what failed replaced nothing
    export(capsys, "small", "--format", "polygons", "--force")
    assert not (here / "o" / "annotations.json").exists() and (here / "o" / "a.geojson").is_file()
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years of work")
    said = refused(capsys, "small", "--format", "voc", "--force", out="mine")
    assert "--out mine: the folder is not an export" in said
    assert (here / "mine" / "thesis.tex").read_text() == "years of work"
    (here / "empty").mkdir()
    export(capsys, "small", "--format", "coco", out="empty")
    (here / "link").symlink_to("mine")
    assert "--out link: not a folder." in refused(capsys, "small", "--format", "coco", "--force", out="link")
    assert _call(["export", "small", "--format", "coco", "--out", "p.yaml"]) == 2
    assert not list(here.glob(".wsss*"))


def test_files_that_were_added_to_an_export_are_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(capsys, "small", "--format", "voc", "--with-images", "link")
    for added in ("notes.txt", "SegmentationClass/mine.png", ".hidden"):
        (here / "o" / added).write_text("years of work")
        said = refused(capsys, "small", "--format", "coco", "--force")
        assert f"(listed in export.json): {added}." in said
        assert (here / "o" / added).read_text() == "years of work" and (here / "o/labelmap.txt").is_file()
        (here / "o" / added).unlink()
    (here / "o" / "data").symlink_to(here / "data")
    assert "(listed in export.json): data." in refused(capsys, "small", "--format", "coco", "--force")
    (here / "o" / "data").unlink()
    record = json.loads((here / "o/export.json").read_text())
    (here / "o/export.json").write_text(json.dumps({**record, "files": None}))  # then nothing is known of the files
    assert "would delete files" in refused(capsys, "small", "--format", "coco", "--force")
    (here / "o/export.json").write_text(json.dumps(record))
    export(capsys, "small", "--format", "coco", "--force")
    assert sorted(path.name for path in (here / "o").iterdir()) == ["annotations.json", "export.json"]


@pytest.mark.parametrize("out", [".", "../here", "inner/.."])
def test_the_working_directory_is_not_replaced(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (here / "here").mkdir()
    monkeypatch.chdir(here / "here")
    said = refused(capsys, here / "runs/small", "--format", "coco", out=out)
    assert f"--out {out}: the working directory" in said
    assert not list((here / "here").iterdir())
    (here / "other").mkdir()
    export(capsys, here / "runs/small", "--format", "coco", out="../other/../new")
    export(capsys, here / "runs/small", "--format", "coco", out="../other/.")
    assert (here / "new/annotations.json").read_bytes() == (here / "other/annotations.json").read_bytes()


def test_a_folder_above_the_working_directory_is_not_replaced(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(capsys, "small", "--format", "coco")
    (here / "o/inner").mkdir()
    monkeypatch.chdir(here / "o/inner")
    said = refused(capsys, here / "runs/small", "--format", "coco", "--force", out="..")
    assert "--out ..: a parent of the working directory" in said
    assert (here / "o/annotations.json").is_file()


@pytest.mark.parametrize("out", ["runs/small/second", "runs/small/second/masks/x", "runs/small", "runs", "."])
def test_nothing_is_written_into_what_is_read(here: Path, capsys: pytest.CaptureFixture[str], out: str) -> None:
    before = sorted(path for path in here.rglob("*"))
    said = refused(capsys, "small", "--format", "voc", "--force", out=out)
    assert "is the folder of a stage, or lies in one" in said or "holds runs/small" in said
    assert sorted(path for path in here.rglob("*")) == before


def test_a_place_that_cannot_be_written_to(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("")
    assert "file is a file; expected a folder" in refused(capsys, "small", "--format", "coco", out="file/o")


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_masks_give_the_same_bytes(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    more = ["--pages", "pdf"] if name == "sheet" else []
    found = []
    for number, workers in enumerate((1, 3)):
        out = f"o{number}"
        export(capsys, "small", "--format", name, "--workers", workers, *more, out=out)
        os.utime("runs/small/second/masks/a.png", (number + 1, number + 1))
        files = sorted(path for path in (here / out).rglob("*") if path.is_file())
        found.append({path.relative_to(here / out): path.read_bytes() for path in files})
    assert found[0] == found[1] and len(found[0]) > 1


def test_images_are_copied_or_linked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = (here / "data/images/a.png").read_bytes()
    export(capsys, "small", "--format", "coco", "--with-images", "copy")
    assert (here / "o/images/a.png").read_bytes() == image and not (here / "o/images/a.png").is_symlink()
    export(capsys, "small", "--format", "voc", "--with-images", "link", out="p")
    assert (here / "p/JPEGImages/a.png").is_symlink() and (here / "p/JPEGImages/a.png").read_bytes() == image
    export(
        capsys, "small", "--format", "voc", "--with-images", "copy", "--force", out="p"
    )  # the links go, not the images
    assert (here / "data/images/a.png").read_bytes() == image
    export(capsys, "small", "--format", "cvat", "--with-images", "copy", out="q")
    with zipfile.ZipFile(here / "q/segmentation_mask_1.1.zip") as archive:
        assert archive.read("JPEGImages/a.png") == image
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    export(capsys, "small", "--format", "label-studio", "--with-images", "copy", out="r")
    [first, *_] = json.loads((here / "r/tasks.json").read_text())
    assert first["data"]["image"] == "/data/local-files/?d=images/a.png"
    (here / "data/images/a.png").unlink()
    write_png(here / "data/images/a.jpg", np.zeros((12, 14, 3), np.uint8))
    said = refused(
        capsys, "runs/small/second", "--format", "coco", "--with-images", "copy", "--data.root", "nowhere", out="s"
    )
    assert "nowhere" in said


def test_options_of_label_studio(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://example.org/photos/"
    export(capsys, "small", "--format", "label-studio", "--as", "annotations", "--image-url", url, "--ignored", "drop")
    tasks = json.loads((here / "o/tasks.json").read_text())
    assert tasks[0]["data"]["image"] == url + "a.png" and "predictions" not in tasks[0]
    assert [len(task["annotations"][0]["result"]) for task in tasks] == [2, 1, 2]
    assert "ignore" not in (here / "o/label_config.xml").read_text()


def test_the_own_masks_of_a_dataset_that_gives_255_to_a_class(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TopoMortar's mortar is 255; what we write says 1, and a copy elsewhere can only mean "not sure"."""
    mask = np.zeros((16, 16), np.uint8)
    mask[4:8] = 255
    parts = {"train": "001", "val": "051", "test": "071"}
    for part, name in parts.items():
        write_png(here / f"walls/dataset/{part}/images/{name}.png", np.zeros((16, 16, 3), np.uint8))
        write_png(here / f"walls/dataset/{part}/accurate/{name}.png", mask)
    lists = "1:\n" + "\n".join(f"  {part}: [dataset/{part}/images/{name}.png]" for part, name in parts.items())
    for file in ("splits.yaml", "splits_small.yaml"):
        (here / "walls/dataset" / file).write_text(lists)
    (here / "walls/dataset/dataset_types.txt").write_text("ID,group\n071,indistr\n")
    dataset = ["--data.root", "walls", "--data.layout", "topomortar", "--format", "voc"]
    export(capsys, "walls/dataset/test/accurate", *dataset, "--splits", "test")
    assert np.array_equal(read_mask(here / "o/SegmentationClass/071.png"), mask // 255)
    (here / "copy").mkdir()
    (here / "copy/071.png").write_bytes((here / "walls/dataset/test/accurate/071.png").read_bytes())
    export(capsys, "copy", *dataset, "--splits", "test", out="p")
    assert np.array_equal(read_mask(here / "p/SegmentationClass/071.png"), mask)


def test_every_format_is_offered() -> None:
    assert tuple(FORMATS) == NAMES
