"""``wsss export`` with broken or missing masks and images: the others are exported, exit code 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inprocess import refused, succeed, wsss
from targets import read_as_datumaro, unpacked

from wsss.export.export_formats import FORMATS
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Masks and images: b is broken, c has an unknown value, d has no image, the image of e has another size."""
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


def export(*arguments: str) -> tuple[int, dict[str, Any], str]:
    done = wsss("export", "m", "--classes", "classes.txt", "--images", "i", "--json", *arguments)
    assert "Traceback" not in done.stderr and "Unexpected" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


@pytest.mark.parametrize("name", sorted({*FORMATS} - {"geotiff", "geojson"}))  # these need georeferenced images
def test_other_masks_are_exported(here: Path, name: str) -> None:
    shows = name in ("overlay", "sheet")
    broken = {"b", "c", "e"} | ({"d"} if shows or name == "label-studio" else set())
    code, written, message = export("--format", name, "--out", "o")
    assert code == 1 and set(written["failed"]) == broken and written["images"] == 6 - len(broken)
    assert f"error: {len(broken)} of 6 masks" in message and "--force" in message
    assert all(f"m/{name}.png: " in message for name in "bce")
    record = json.loads((here / "o" / "export.json").read_text())
    assert record["failed"] == written["failed"]
    good = {"a", "d", "e", "f"} - broken
    if name == "coco":
        document = json.loads((here / "o" / "annotations.json").read_text())
        assert [Path(image["file_name"]).stem for image in document["images"]] == sorted(good)
        assert {image["image_id"] for image in document["annotations"]} == {image["id"] for image in document["images"]}
    elif name == "label-studio":
        assert {entry["data"]["image_id"] for entry in json.loads((here / "o/tasks.json").read_text())} == good
    elif name == "voc":
        assert set((here / "o/ImageSets/Segmentation/default.txt").read_text().split()) == good
        assert {path.stem for path in here.glob("o/SegmentationClass/*")} == good
    elif name == "cvat":
        result = read_as_datumaro(unpacked(here / "o" / "segmentation_mask_1.1.zip", here / "u"))
        assert set(result) == good and all(one.objects for one in result.values())
    elif name != "sheet":
        assert {path.stem for path in (here / "o").iterdir()} == {*good, "export"}


@pytest.mark.parametrize("name", ["coco", "cvat", "voc", "label-studio"])
def test_missing_image_cannot_be_copied(here: Path, name: str) -> None:
    code, written, message = export("--format", name, "--with-images", "copy", "--out", "o", "--ids", "a,d,f")
    assert code == 1 and list(written["failed"]) == ["d"] and written["images"] == 2
    assert "  d: " in message


def test_nothing_is_written_without_valid_masks(here: Path) -> None:
    code, written, message = export("--format", "coco", "--ids", "b,c", "--out", "o")
    assert code == 2 and not written and "2 of 2 masks" in message
    assert not (here / "o").exists() and not list(here.glob(".wsss*"))


@pytest.mark.parametrize("name", ["coco", "cvat", "voc", "polygons", "overlay", "sheet"])
def test_regions_below_the_minimum_area_are_counted(here: Path, name: str) -> None:
    """a has one region of 24 pixels, f two, of 4 and 20."""
    mask = np.zeros((12, 14), np.uint8)
    mask[:2, :2] = mask[6:10, 5:10] = 1
    write_mask(here / "m" / "f.png", mask)
    cases = ((4, None), (10, {"regions": 1, "emptied": []}), (21, {"regions": 2, "emptied": ["f"]}))
    for area, dropped in (*cases, (25, {"regions": 3, "emptied": ["a", "f"]})):
        options = ["--format", name, "--ids", "a,f", "--min-area", str(area), "--out", f"o{area}"]
        code, written, message = export(*options)
        assert code == 0 and written.get("dropped") == dropped
        assert json.loads((here / f"o{area}" / "export.json").read_text()).get("dropped") == dropped
        assert ("--min-area" in message) == (dropped is not None)


def test_repaired_masks_are_exported(here: Path) -> None:
    assert export("--format", "sheet", "--out", "o", "--ids", "a,b,f")[0] == 1
    write_mask(here / "m" / "b.png", np.ones((12, 14), np.uint8))
    code, written, _ = export("--format", "sheet", "--out", "o", "--ids", "a,b,f", "--force")
    assert code == 0 and "failed" not in written and written["images"] == 3


def test_uppercase_suffixes_and_subfolders(here: Path) -> None:
    (here / "m" / "b.png").unlink()
    (here / "m" / "c.png").rename(here / "m" / "g.PNG")
    write_mask(here / "m" / "g.PNG", np.ones((12, 14), np.uint8))
    write_png(here / "i" / "e.png", np.zeros((12, 14, 3), np.uint8))
    code, written, _ = export("--format", "coco", "--out", "o")
    assert code == 0 and written["images"] == 5
    write_mask(here / "m" / "g.png", np.ones((12, 14), np.uint8))
    code, _, message = export("--format", "coco", "--out", "p")
    assert code == 2 and "g.PNG and g.png" in message
    (here / "deep").mkdir()
    (here / "m").rename(here / "deep" / "inside")
    assert "deep: " in refused("export", "deep", "--format", "coco", "--out", "p")


def test_images_in_subfolders(here: Path) -> None:
    """Masks of ``wsss predict --recursive`` without its images.json."""
    write_mask(here / "n" / "t1__a.png", np.ones((12, 14), np.uint8))
    write_mask(here / "n" / "f.png", np.ones((12, 14), np.uint8))
    write_png(here / "i" / "t1" / "a.png", np.zeros((12, 14, 3), np.uint8))
    succeed("export", "n", "--images", "i", "--format", "coco", "--with-images", "copy", "--out", "o")
    document = json.loads((here / "o" / "annotations.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["f.png", "t1/a.png"]
    assert (here / "o" / "images" / "t1" / "a.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--images", "copy"], "--with-images copy"), (["--splits", ","], "--splits ,: ")]
)
def test_invalid_options(here: Path, arguments: list[str], message: str) -> None:
    assert message in refused("export", "m", "--format", "coco", "--out", "o", *arguments)


@pytest.mark.parametrize("gone", [False, True])
def test_image_names_of_a_file_table_are_kept(here: Path, gone: bool) -> None:
    """The dataset of ``wsss init`` for images in subfolders elsewhere, existing or missing."""
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
    for name, out in (("coco", "coco"), ("label-studio", "ls"), ("cvat", "cvat")):
        done = succeed("export", "masks", *data, "--format", name, "--out", out)
        assert ("3 of 3" in done.stderr) == gone
    document = json.loads((here / "coco/annotations.json").read_text())
    assert {image["file_name"] for image in document["images"]} == set(files.values())
    tasks = json.loads((here / "ls/tasks.json").read_text())
    urls = {task["data"]["image_id"]: task["data"]["image"] for task in tasks}
    assert urls["t1__1"].endswith("?d=t1/1.JPG") and urls["plain"].endswith("?d=plain%20image%20%231.png")
    result = read_as_datumaro(unpacked(here / "cvat" / "segmentation_mask_1.1.zip", here / "u"))
    assert set(result) == {"t1/1", "t2/1", "plain image #1"}
