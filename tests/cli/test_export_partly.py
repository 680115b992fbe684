"""``wsss export`` where some of the masks or images are broken or missing: the others are written, exit code 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from targets import read_as_datumaro, unpacked

from wsss.cli.main import _call
from wsss.export.export_formats import FORMATS
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Masks with images: b is broken, c holds a strange value, the image of d is gone, that of e has another size."""
    for name in "abcdef":
        mask = np.zeros((12, 14), np.uint8)
        mask[2:6, 3:9] = 7 if name == "c" else 1
        write_mask(tmp_path / "m" / f"{name}.png", mask)
        write_png(tmp_path / "i" / f"{name}.png", np.zeros((12, 14, 3), np.uint8))
    (tmp_path / "m" / "b.png").write_bytes((tmp_path / "m" / "a.png").read_bytes()[:60])
    (tmp_path / "i" / "d.png").unlink()
    write_png(tmp_path / "i" / "e.png", np.zeros((3, 3, 3), np.uint8))
    (tmp_path / "classes.txt").write_text("1 cat\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    code = _call(["export", "m", "--classes", "classes.txt", "--images", "i", "--json", *arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err and "Unexpected" not in said.err
    return code, json.loads(said.out) if said.out else {}, said.err


@pytest.mark.parametrize("name", FORMATS)
def test_the_others_are_exported(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    shows = name in ("overlay", "sheet")
    broken = {"b", "c", "e"} | ({"d"} if shows or name == "label-studio" else set())
    code, written, said = export(capsys, "--format", name, "--out", "o")
    assert code == 1 and set(written["failed"]) == broken and written["images"] == 6 - len(broken)
    assert f"error: {len(broken)} of 6 masks were left out" in said and "m/b.png: the image is broken" in said
    assert "m/e.png: the mask is 14×12 (width×height), its image 3×3" in said
    assert "m/c.png: unknown mask value" in said and "--force" in said
    record = json.loads((here / "o" / "export.json").read_text())
    assert record["failed"] == written["failed"]
    good = {"a", "d", "e", "f"} - broken
    if name == "coco":
        document = json.loads((here / "o" / "annotations.json").read_text())
        assert [Path(one["file_name"]).stem for one in document["images"]] == sorted(good)
        assert {one["image_id"] for one in document["annotations"]} == {one["id"] for one in document["images"]}
    elif name == "label-studio":
        assert {one["data"]["image_id"] for one in json.loads((here / "o/tasks.json").read_text())} == good
    elif name == "voc":
        assert set((here / "o/ImageSets/Segmentation/default.txt").read_text().split()) == good
        assert {path.stem for path in here.glob("o/SegmentationClass/*")} == good
    elif name == "cvat":
        found = read_as_datumaro(unpacked(here / "o" / "segmentation_mask_1.1.zip", here / "u"))
        assert set(found) == good and all(one.objects for one in found.values())
    elif name != "sheet":
        assert {path.stem for path in (here / "o").iterdir()} == {*good, "export"}


@pytest.mark.parametrize("name", ["coco", "cvat", "voc", "label-studio"])
def test_an_image_that_is_to_be_copied_is_gone(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, written, said = export(capsys, "--format", name, "--with-images", "copy", "--out", "o", "--ids", "a,d,f")
    assert code == 1 and list(written["failed"]) == ["d"] and written["images"] == 2
    assert "d: --with-images needs the image" in said


def test_where_nothing_can_be_exported_nothing_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, written, said = export(capsys, "--format", "coco", "--ids", "b,c", "--out", "o")
    assert code == 2 and not written and "2 of 2 masks cannot be exported:\n" in said
    assert not (here / "o").exists() and not list(here.glob(".wsss*"))


@pytest.mark.parametrize("name", ["coco", "cvat", "voc", "polygons", "overlay", "sheet"])
def test_regions_below_the_least_area_are_counted(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """a has one region of 24 pixels, f two, of 4 and 20."""
    mask = np.zeros((12, 14), np.uint8)
    mask[:2, :2] = mask[6:10, 5:10] = 1
    write_mask(here / "m" / "f.png", mask)
    for least, dropped in ((4, None), (10, {"regions": 1, "emptied": []}), (21, {"regions": 2, "emptied": ["f"]})):
        options = ["--format", name, "--ids", "a,f", "--min-area", str(least), "--out", f"o{least}"]
        code, written, said = export(capsys, *options)
        assert code == 0 and written.get("dropped") == dropped
        assert json.loads((here / f"o{least}" / "export.json").read_text()).get("dropped") == dropped
        assert ("--min-area" in said) == (dropped is not None)
    assert "warning: --min-area 21 dropped 2 regions; 1 of 2 masks lost all its regions: f." in said
    code, _, said = export(capsys, "--format", name, "--ids", "a,f", "--min-area", "25", "--out", "o")
    assert code == 0 and "dropped 3 regions; 2 of 2 masks lost all their regions: a, f." in said


def test_repaired_it_is_complete(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(capsys, "--format", "sheet", "--out", "o", "--ids", "a,b,f")[0] == 1
    write_mask(here / "m" / "b.png", np.ones((12, 14), np.uint8))
    code, written, _ = export(capsys, "--format", "sheet", "--out", "o", "--ids", "a,b,f", "--force")
    assert code == 0 and "failed" not in written and written["images"] == 3


def test_masks_in_capitals_and_in_folders_below(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "m" / "b.png").unlink()
    (here / "m" / "c.png").rename(here / "m" / "g.PNG")
    write_mask(here / "m" / "g.PNG", np.ones((12, 14), np.uint8))
    write_png(here / "i" / "e.png", np.zeros((12, 14, 3), np.uint8))
    code, written, _ = export(capsys, "--format", "coco", "--out", "o")
    assert code == 0 and written["images"] == 5
    write_mask(here / "m" / "g.png", np.ones((12, 14), np.uint8))
    code, _, said = export(capsys, "--format", "coco", "--out", "p")
    assert code == 2 and "g.PNG and g.png are both masks of image 'g'" in said
    (here / "deep").mkdir()
    (here / "m").rename(here / "deep" / "inside")
    assert _call(["export", "deep", "--format", "coco", "--out", "p"]) == 2
    assert "neither deep nor runs/deep is a run" in capsys.readouterr().err


def test_images_in_folders_below(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Masks of ``wsss predict --recursive`` without its images.json."""
    write_mask(here / "n" / "t1__a.png", np.ones((12, 14), np.uint8))
    write_mask(here / "n" / "f.png", np.ones((12, 14), np.uint8))
    write_png(here / "i" / "t1" / "a.png", np.zeros((12, 14, 3), np.uint8))
    assert _call(["export", "n", "--images", "i", "--format", "coco", "--with-images", "copy", "--out", "o"]) == 0
    document = json.loads((here / "o" / "annotations.json").read_text())
    assert [one["file_name"] for one in document["images"]] == ["f.png", "t1/a.png"]
    assert (here / "o" / "images" / "t1" / "a.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "val"], "No such option '--split'. Did you mean '--splits'?"),
        (["--image-folder", "i"], "No such option '--image-folder'. Did you mean '--images'?"),
        (["--images", "copy"], "use --with-images copy"),
        (["--splits", ","], "--splits ,: no split is named"),
    ],
)
def test_older_options(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert _call(["export", "m", "--format", "coco", "--out", "o", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("gone", [False, True])
def test_images_of_a_table_keep_the_users_names(here: Path, capsys: pytest.CaptureFixture[str], gone: bool) -> None:
    """What ``wsss init`` writes for images in subfolders outside its own folder; also where they have gone since."""
    files = {"t1__1": "t1/1.JPG", "t2__1": "t2/1.JPG", "plain": "plain image #1.png"}
    for name, file in files.items():
        write_mask(here / "masks" / f"{name}.png", np.ones((12, 14), np.uint8))
        write_png(here / "elsewhere" / file, np.zeros((12, 14, 3), np.uint8))
    (here / "set").mkdir()
    (here / "set/classes.txt").write_text("1 cat\n")
    (here / "set/labels.csv").write_text("image_id,labels\n" + "".join(f"{name},cat\n" for name in files))
    (here / "set/files.csv").write_text("image_id,file\n" + "".join(f"{name},{file}\n" for name, file in files.items()))
    if gone:
        (here / "elsewhere").rename(here / "moved")
    data = ["--data.layout", "folder", "--data.root", "set", "--data.files", "files.csv"]
    data += ["--data.images", str(here / "elsewhere")]
    assert _call(["export", "masks", *data, "--format", "coco", "--out", "coco"]) == 0
    assert _call(["export", "masks", *data, "--format", "label-studio", "--out", "ls"]) == 0
    assert _call(["export", "masks", *data, "--format", "cvat", "--out", "cvat"]) == 0
    said = capsys.readouterr().err
    assert ("missing images for 3 of 3 masks" in said) == gone
    document = json.loads((here / "coco/annotations.json").read_text())
    assert {one["file_name"] for one in document["images"]} == set(files.values())
    tasks = json.loads((here / "ls/tasks.json").read_text())
    urls = {task["data"]["image_id"]: task["data"]["image"] for task in tasks}
    assert urls["t1__1"].endswith("?d=t1/1.JPG") and urls["plain"].endswith("?d=plain%20image%20%231.png")
    found = read_as_datumaro(unpacked(here / "cvat" / "segmentation_mask_1.1.zip", here / "u"))
    assert set(found) == {"t1/1", "t2/1", "plain image #1"}
