"""``wsss export``: sources of masks, invalid usage, and output files."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import inprocess
import numpy as np
import pytest
from inprocess import added_stages, succeed
from PIL import Image

from wsss.cli.commands.export import NAMES
from wsss.data.classes import Classes
from wsss.export.export_formats import FORMATS
from wsss.io.files.atomic import write_json
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.pipeline.stage import Context, Read, Result, Stage, StageConfig


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
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A dataset of three images, and a run on it."""
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
    with added_stages(DRAW, COUNT):
        succeed("run", "p.yaml")
        yield tmp_path


def export(*arguments: object, out: str = "o") -> Any:
    return inprocess.document("export", *arguments, "--out", out)


def refused(*arguments: object, out: str = "o") -> str:
    return inprocess.refused("export", "--out", out, *arguments)


def test_last_stage_with_masks_is_the_default(here: Path) -> None:
    done = succeed("export", "small", "--format", "voc", "--out", "o")
    assert "second" in done.stderr and "first" in done.stderr
    assert done.stdout == "o: 3 masks of small/second as voc, 7 files\n"
    assert sorted(path.name for path in here.glob("o/SegmentationClass/*")) == ["a.png", "b.png", "c.png"]
    assert (here / "o/ImageSets/Segmentation/train.txt").read_text() == "a\nb\n"
    assert np.array_equal(read_mask(here / "o/SegmentationClass/b.png"), read_mask(here / "data/masks/b.png"))
    written = export("runs/small", "--stage", "first", "--format", "coco", out="p")
    assert written["masks"] == "small/first" and written["images"] == 2 and written["out"] == "p"
    record = json.loads((here / "p" / "export.json").read_text())
    assert record["made_by"] == "wsss export" and record["files"] == ["annotations.json"]
    assert record["classes"] == ["background", "cat", "dog"]


def test_stage_folders_and_plain_folders(here: Path) -> None:
    assert export("runs/small/first", "--format", "voc")["masks"] == "first"
    assert (here / "o/classes.txt").read_text() == "1 cat\n2 dog\n"
    export("data/masks", "--data.root", "data", "--format", "voc", "--splits", "val", out="p")
    assert [path.stem for path in here.glob("p/SegmentationClass/*")] == ["c"]
    export("data", "--data.root", "data", "--data.classes", "[dog]", "--format", "voc", out="q")
    assert set(np.unique(read_mask(here / "q/SegmentationClass/a.png"))) == {0, 2, 255}


def test_masks_without_a_dataset(here: Path) -> None:
    written = export("data/masks", "--format", "coco")
    assert written["classes"] == ["background", "class 1", "class 2"]
    written = export("data/masks", "--format", "coco", "--classes", "data/classes.txt", out="p")
    assert written["classes"] == ["background", "cat", "dog"]
    assert "label-studio" in refused("data/masks", "--format", "label-studio", out="q")
    options = ["--images", "data/images", "--side-by-side", "--no-legend"]
    export("data/masks", "--format", "overlay", *options, out="q")
    assert Image.open(here / "q" / "a.png").size == (28, 12)
    assert "--splits val: " in refused("data/masks", "--format", "coco", "--splits", "val", out="r")


def test_missing_images(here: Path) -> None:
    (here / "data" / "images").rename(here / "photos")
    where = ["small", "--data.layout", "folder", "--data.root", "data"]
    assert "3 of 3" in succeed("export", *where, "--format", "coco", "--out", "o").stderr
    document = json.loads((here / "o" / "annotations.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["a", "b", "c"] and len(document["annotations"]) == 8
    for format_name, *options in (("voc",), ("cvat",), ("polygons",)):
        export(*where, "--format", format_name, *options, out=format_name)
    for arguments in (["--format", "overlay"], ["--format", "coco", "--with-images", "copy"]):
        assert "--data.images DIR" in refused(*where, *arguments, out="p")
    export(*where, "--data.images", here / "photos", "--format", "overlay", out="p")
    assert "--data.images DIR" in refused(
        *where, "--data.images", "gone", "--images", "photos", "--format", "overlay", out="q"
    )


def test_missing_dataset(here: Path) -> None:
    export("small", "--format", "coco", out="before")
    (here / "data").rename(here / "elsewhere")
    refused("small", "--format", "coco")  # the classes are unknown
    classes = Classes(("background", "cat", "dog"), ((0,), (1,), (2,)))
    run = json.loads((here / "runs/small/run.json").read_text())
    run["stages"].append({"id": "net", "uses": "segment", "needs": []})
    (here / "runs/small/run.json").write_text(json.dumps(run))
    write_json(here / "runs/small/net/model.json", {"kind": "segmenter", "classes": classes.to_json()})
    said = succeed("export", "small", "--format", "coco", "--out", "o").stderr
    assert "runs/small/net/model.json" in said
    before, after = (json.loads((here / name / "annotations.json").read_text()) for name in ("before", "o"))
    assert after["annotations"] == before["annotations"] and after["categories"] == before["categories"]
    refused("small", "--format", "coco", "--splits", "val", out="p")
    export("runs/small/second", "--format", "overlay", "--images", "elsewhere/images", out="p")
    assert export("small", "--data.root", "elsewhere", "--format", "voc", out="q")["splits"]["val"] == 1
    refused("small", "--data.root", "nowhere", "--format", "voc", out="r")
    useless = refused("small", "--data.images", "elsewhere/images", "--format", "coco", out="r")
    assert "data.images" in useless and "--data.root DIR" in useless


@pytest.mark.parametrize(
    ("arguments", "subject"),
    [
        (["small", "--classes", "no.txt"], "--classes no.txt: "),
        (["runs/small/first", "--images", "no"], "--images no: "),
        (["data/masks", "--data.root", "data", "--classes", "data/classes.txt"], "--classes data/classes.txt: "),
        (["data/masks", "--data.root", "data", "--images", "data/images"], "--images data/images"),
        (["data/masks", "--images", "no"], "--images no: "),
        (["data/masks", "--images", "runs"], "--images runs: "),
    ],
)  # fmt: skip
def test_options_that_contradict_the_dataset(here: Path, arguments: list[str], subject: str) -> None:
    assert subject in refused(*arguments, "--format", "coco")
    assert not (here / "o").exists()


def test_ambiguous_images(here: Path) -> None:
    write_png(here / "data/images/a.jpg", np.zeros((12, 14, 3), np.uint8))
    options = ["--format", "coco", "--images", "data/images"]
    assert "a.jpg, a.png" in refused("data/masks", *options)
    export("data/masks", *options, "--ids", "b,c")
    for name in "abc":  # masks beside their images are not counted as images
        write_png(here / f"data/masks/{name}.jpg", np.zeros((12, 14, 3), np.uint8))
    export("data/masks", "--format", "coco", "--images", "data/masks", "--with-images", "copy", out="p")
    assert sorted(path.name for path in here.glob("p/images/*")) == ["a.jpg", "b.jpg", "c.jpg"]


def test_ids_and_splits(here: Path) -> None:
    export("small", "--format", "voc", "--ids", "c, a")
    assert (here / "o/ImageSets/Segmentation/train.txt").read_text() == "a\n"
    (here / "ids.txt").write_text("b\n\nc\n")
    export("small", "--format", "label-studio", "--ids", "@ids.txt", out="p")
    assert [task["data"]["image_id"] for task in json.loads((here / "p/tasks.json").read_text())] == ["b", "c"]
    assert "'c'" in refused("small", "--format", "coco", "--ids", "cc", out="q")
    assert "--ids ,: " in refused("small", "--format", "coco", "--ids", ",", out="q")
    assert "no.txt: " in refused("small", "--format", "coco", "--ids", "@no.txt", out="q")
    assert "'vall'" in refused("small", "--format", "coco", "--splits", "vall", out="q")
    refused("small", "--stage", "first", "--format", "coco", "--splits", "val", out="q")
    assert not (here / "q").exists()


def test_dataset_of_a_run_elsewhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "else" / "where").mkdir(parents=True)
    monkeypatch.chdir(here / "else" / "where")
    assert export(here / "runs/small", "--format", "coco")["images"] == 3  # relative to the directory of the run
    (here / "data").rename(here / "moved")
    refused(here / "runs/small", "--format", "coco", out="p")
    written = export(here / "runs/small", "--data.root", here / "moved", "--format", "coco", out="p")
    assert written["images"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small"], "Missing option '--format'"),
        (["small", "--format", "bmp"], "'bmp' is not one of 'voc', 'coco', 'cvat'"),
        (["nowhere", "--format", "coco"], "nowhere: "),
        (["data", "--stage", "x", "--format", "coco"], "data"),
        (["small", "--stage", "secnd", "--format", "coco"], "'second'"),
        (["small", "--stage", "score", "--format", "coco"], "'scores'"),
        (["runs/small/score", "--format", "coco"], "'scores'"),
        (["runs", "--format", "coco"], "runs: "),
        (["small", "--format", "coco", "--opacity", "0.3"], "--opacity"),
        (["small", "--format", "overlay", "--tolerance", "2"], "--tolerance"),
        (["small", "--format", "voc", "--components"], "--components"),
        (["small", "--format", "coco", "--as", "annotations"], "--as"),
        (["small", "--format", "sheet", "--columns", "0"], "Invalid value for '--columns'"),
        (["small", "--format", "overlay", "--opacity", "2"], "Invalid value for '--opacity'"),
        (["small", "--format", "cvat", "--with-images", "link"], "--with-images link"),
        (["small", "--format", "coco", "--data.rot", "data"], "data.rot: "),
        (["small", "--format", "coco", "--data.root"], "Option '--data.root' requires a value"),
        (["data/masks", "--format", "coco", "--classes", "no.txt"], "no.txt: "),
    ],
)  # fmt: skip
def test_invalid_usage(here: Path, arguments: list[str], message: str) -> None:
    assert message in refused(*arguments)
    assert not (here / "o").exists() and not list(here.glob(".wsss*"))


def test_invalid_and_broken_masks(here: Path) -> None:
    write_mask(here / "masks" / "a.png", np.full((12, 14), 7, np.uint8))
    masks = ("masks", "--data.root", "data", "--format")
    for name in FORMATS:
        assert "a.png: " in refused(*masks, name)
    (here / "masks" / "a.png").write_bytes((here / "data/masks/b.png").read_bytes()[:60])
    assert "a.png: " in refused(*masks, "coco")
    write_mask(here / "masks" / "a.png", np.zeros((5, 5), np.uint8))
    for name in ("overlay", "sheet"):
        assert "5×5" in refused(*masks, name)
    assert not (here / "o").exists() and not list(here.glob(".wsss*"))


def test_non_empty_folders(here: Path) -> None:
    export("small", "--format", "coco")
    before = (here / "o" / "annotations.json").read_bytes()
    assert "--out o: " in refused("small", "--format", "voc")
    (here / "data/masks/b.png").unlink()  # of the dataset, not of the run
    write_mask(here / "bad" / "a.png", np.full((12, 14), 7, np.uint8))
    refused("bad", "--data.root", "data", "--format", "voc", "--force")
    assert (here / "o" / "annotations.json").read_bytes() == before  # a failed export replaces nothing
    export("small", "--format", "polygons", "--force")
    assert not (here / "o" / "annotations.json").exists() and (here / "o" / "a.geojson").is_file()
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years of work")
    assert "--out mine: " in refused("small", "--format", "voc", "--force", out="mine")
    assert (here / "mine" / "thesis.tex").read_text() == "years of work"
    (here / "empty").mkdir()
    export("small", "--format", "coco", out="empty")
    (here / "link").symlink_to("mine")
    assert "--out link: " in refused("small", "--format", "coco", "--force", out="link")
    refused("small", "--format", "coco", out="p.yaml")
    assert not list(here.glob(".wsss*"))


def test_files_added_to_an_export_are_kept(here: Path) -> None:
    export("small", "--format", "voc", "--with-images", "link")
    for added in ("notes.txt", "SegmentationClass/mine.png", ".hidden"):
        (here / "o" / added).write_text("years of work")
        assert added in refused("small", "--format", "coco", "--force")
        assert (here / "o" / added).read_text() == "years of work" and (here / "o/labelmap.txt").is_file()
        (here / "o" / added).unlink()
    (here / "o" / "data").symlink_to(here / "data")
    assert "--out o: " in refused("small", "--format", "coco", "--force")
    (here / "o" / "data").unlink()
    record = json.loads((here / "o/export.json").read_text())
    (here / "o/export.json").write_text(json.dumps({**record, "files": None}))  # the exported files are unknown
    refused("small", "--format", "coco", "--force")
    (here / "o/export.json").write_text(json.dumps(record))
    export("small", "--format", "coco", "--force")
    assert sorted(path.name for path in (here / "o").iterdir()) == ["annotations.json", "export.json"]


@pytest.mark.parametrize("out", [".", "../here", "inner/.."])
def test_working_directory_is_not_replaced(here: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    (here / "here").mkdir()
    monkeypatch.chdir(here / "here")
    assert f"--out {out}: " in refused(here / "runs/small", "--format", "coco", out=out)
    assert not list((here / "here").iterdir())
    (here / "other").mkdir()
    export(here / "runs/small", "--format", "coco", out="../other/../new")
    export(here / "runs/small", "--format", "coco", out="../other/.")
    assert (here / "new/annotations.json").read_bytes() == (here / "other/annotations.json").read_bytes()


def test_parent_of_the_working_directory_is_not_replaced(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export("small", "--format", "coco")
    (here / "o/inner").mkdir()
    monkeypatch.chdir(here / "o/inner")
    assert "--out ..: " in refused(here / "runs/small", "--format", "coco", "--force", out="..")
    assert (here / "o/annotations.json").is_file()


@pytest.mark.parametrize("out", ["runs/small/second", "runs/small/second/masks/x", "runs/small", "runs", "."])
def test_sources_are_not_overwritten(here: Path, out: str) -> None:
    before = sorted(path for path in here.rglob("*"))
    assert f"--out {out}: " in refused("small", "--format", "voc", "--force", out=out)
    assert sorted(path for path in here.rglob("*")) == before


def test_unwritable_folder(here: Path) -> None:
    (here / "file").write_text("")
    assert "file: " in refused("small", "--format", "coco", out="file/o")


@pytest.mark.parametrize("name", sorted({*FORMATS} - {"geotiff", "geojson"}))  # these need georeferenced images
def test_exports_are_deterministic(here: Path, name: str) -> None:
    more = ["--pages", "pdf"] if name == "sheet" else []
    result = []
    for number, workers in enumerate((1, 3)):
        out = f"o{number}"
        export("small", "--format", name, "--workers", workers, *more, out=out)
        os.utime("runs/small/second/masks/a.png", (number + 1, number + 1))
        files = sorted(path for path in (here / out).rglob("*") if path.is_file())
        result.append({path.relative_to(here / out): path.read_bytes() for path in files})
    assert result[0] == result[1] and len(result[0]) > 1


def test_images_are_copied_or_linked(here: Path) -> None:
    image = (here / "data/images/a.png").read_bytes()
    export("small", "--format", "coco", "--with-images", "copy")
    assert (here / "o/images/a.png").read_bytes() == image and not (here / "o/images/a.png").is_symlink()
    export("small", "--format", "voc", "--with-images", "link", out="p")
    assert (here / "p/JPEGImages/a.png").is_symlink() and (here / "p/JPEGImages/a.png").read_bytes() == image
    export("small", "--format", "voc", "--with-images", "copy", "--force", out="p")  # deletes the links, not the images
    assert (here / "data/images/a.png").read_bytes() == image
    export("small", "--format", "cvat", "--with-images", "copy", out="q")
    with zipfile.ZipFile(here / "q/segmentation_mask_1.1.zip") as archive:
        assert archive.read("JPEGImages/a.png") == image
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    export("small", "--format", "label-studio", "--with-images", "copy", out="r")
    [first, *_] = json.loads((here / "r/tasks.json").read_text())
    assert first["data"]["image"] == "/data/local-files/?d=images/a.png"
    (here / "data/images/a.png").unlink()
    write_png(here / "data/images/a.jpg", np.zeros((12, 14, 3), np.uint8))
    copy = ("--format", "coco", "--with-images", "copy")
    assert "nowhere" in refused("runs/small/second", *copy, "--data.root", "nowhere", out="s")


def test_options_of_label_studio(here: Path) -> None:
    url = "https://example.org/photos/"
    export("small", "--format", "label-studio", "--as", "annotations", "--image-url", url, "--ignored", "drop")
    tasks = json.loads((here / "o/tasks.json").read_text())
    assert tasks[0]["data"]["image"] == url + "a.png" and "predictions" not in tasks[0]
    assert [len(task["annotations"][0]["result"]) for task in tasks] == [2, 1, 2]
    assert "ignore" not in (here / "o/label_config.xml").read_text()


def test_dataset_masks_with_255_as_a_class(here: Path) -> None:
    """TopoMortar's mortar is 255: exported as 1 from the dataset, and as ignored from a copy elsewhere."""
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
    export("walls/dataset/test/accurate", *dataset, "--splits", "test")
    assert np.array_equal(read_mask(here / "o/SegmentationClass/071.png"), mask // 255)
    (here / "copy").mkdir()
    (here / "copy/071.png").write_bytes((here / "walls/dataset/test/accurate/071.png").read_bytes())
    export("copy", *dataset, "--splits", "test", out="p")
    assert np.array_equal(read_mask(here / "p/SegmentationClass/071.png"), mask)


def test_option_lists_every_format() -> None:
    assert tuple(FORMATS) == NAMES
