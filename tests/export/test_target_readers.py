"""Exports, read as their target tools read them; see `targets` for the readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from exported import truth, values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from readers import coco_masks, label_studio_masks
from targets import (
    HAS_DATUMARO,
    Imported,
    TargetRefuses,
    read_as_datumaro,
    read_by_datumaro,
    served_by_label_studio,
    unpacked,
)

from wsss.data.classes import Classes
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Item, Masks, Options
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png

Reader = Callable[[Path], dict[str, Imported]]
CLASSES = Classes(("background", "cat", "tv/monitor"), ((0,), (3,), (20,)))
ARCHIVE = "segmentation_mask_1.1.zip"

needs_datumaro = pytest.mark.skipif(
    not HAS_DATUMARO,
    reason="datumaro requires an older OpenCV (benchmarks/round_trips.py runs it in an environment of its own)",
)
readers = pytest.mark.parametrize(
    "read", [read_as_datumaro, pytest.param(read_by_datumaro, marks=needs_datumaro)], ids=["ours", "datumaro"]
)


def small(folder: Path, *files: str, size: tuple[int, int] = (9, 7)) -> Masks:
    """One image per name, with a mask of a cat and a monitor."""
    items = []
    for number, file in enumerate(files):
        mask = np.zeros(size, np.uint8)
        mask[1:3, 1 : 3 + number % 3], mask[-2, -2] = 3, 20
        write_mask(folder / "masks" / f"{number}.png", mask)
        write_png(folder / "images" / file, np.full((*size, 3), 40 + number, np.uint8))
        items.append(Item(f"i{number}", folder / "masks" / f"{number}.png", folder / "images" / file, file=file))
    return Masks("small", CLASSES, tuple(items))


def cvat(masks: Masks, folder: Path, read: Reader, options: Options | None = None) -> dict[str, Imported]:
    export_masks(masks, "cvat", options or Options(with_images="copy"), folder / "o")
    return read(unpacked(folder / "o" / ARCHIVE, folder / "unpacked"))


@readers
def test_cvat_imports_every_pixel(masks: Masks, tmp_path: Path, read: Reader) -> None:
    imported = cvat(masks, tmp_path, read)
    assert set(imported) == set(truth(masks))
    for name, mask in truth(masks).items():
        together = np.zeros_like(mask)
        for label, pixels in imported[name].objects:
            together[pixels] = values(masks)[label]
        assert np.array_equal(together, mask), name
        image = next(item.image for item in masks.items if item.id == name)
        assert image is not None and imported[name].image is not None
        assert imported[name].image.read_bytes() == image.read_bytes()  # type: ignore[union-attr]


@readers
def test_only_invalid_list_names_are_changed(tmp_path: Path, read: Reader) -> None:
    files = ["a b.jpg", "#7.jpg", "plain.PNG", "in/a  b.jpg", "in/#7.jpg", ' "x".jpg', "y .jpg", "_#7.jpg", "ü%20?.jpg"]
    masks = small(tmp_path / "in", *files)
    imported = cvat(masks, tmp_path, read)
    expected = ["a b", "_#7_2", "plain", "in/a  b", "in/#7", '_"x"', "y_", "_#7", "ü%20?"]
    assert set(imported) == set(expected)
    for item, name in zip(masks.items, expected, strict=True):
        assert [label for label, _ in imported[name].objects] == ["cat", "tv/monitor"], name
        assert imported[name].image is not None and item.image is not None
        assert imported[name].image.read_bytes() == item.image.read_bytes()  # type: ignore[union-attr]
    record = json.loads((tmp_path / "o" / "export.json").read_text())
    assert record["renamed"] == {"#7.jpg": "_#7_2", ' "x".jpg': '_"x"', "y .jpg": "y_"}


strange = st.text(st.sampled_from(" #\"'_a.-\t\x85\u2028\xa0\u3000é%?:"), min_size=1, max_size=6)


@given(st.lists(strange, min_size=1, max_size=4, unique=True))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_items_with_any_name_are_imported(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("cvat")
    files = [f"{name}.png" for name in names if "\t" not in name and not name.startswith(".")]
    if files:
        imported = cvat(small(folder / "in", *files), folder, read_as_datumaro)
        assert len(imported) == len(files)
        assert all(len(one.objects) == 2 and one.image is not None for one in imported.values())


@readers
@pytest.mark.parametrize("count", [255, 256])
def test_cvat_takes_255_objects(tmp_path: Path, read: Reader, count: int) -> None:
    mask = np.zeros((40, 60), np.uint8)
    rows, columns = np.unravel_index(np.arange(count), (20, 30))
    mask[rows * 2, columns * 2] = np.where(np.arange(count) % 2, 3, 20)
    write_mask(tmp_path / "m.png", mask)
    masks = Masks("n", CLASSES, (Item("crowd", tmp_path / "m.png", file="street/crowd.jpg"),))
    if count == 255:
        assert len(cvat(masks, tmp_path, read, Options(components=True))["street/crowd"].objects) == 255
        return
    with pytest.raises(InvalidInput) as error:
        export_masks(masks, "cvat", Options(components=True), tmp_path / "o")
    assert error.value.subject == "cvat" and "street/crowd.jpg has 256" in error.value.problem
    assert "--min-area" in str(error.value.hint) and "--components" in str(error.value.hint)
    assert not (tmp_path / "o").exists()
    assert len(cvat(masks, tmp_path, read, Options())["street/crowd"].objects) == 2
    few = Options(components=True, min_area=2)
    export_masks(masks, "cvat", few, tmp_path / "o", force=True)


def test_the_reader_has_the_limits_of_cvat(tmp_path: Path) -> None:
    """256 objects, quoted names, and colons in label names are invalid."""
    masks = small(tmp_path / "in", "a b.jpg", "#7.jpg")
    export_masks(masks, "cvat", Options(), tmp_path / "o")
    root = unpacked(tmp_path / "o" / ARCHIVE, tmp_path / "unpacked")
    (root / "ImageSets/Segmentation/default.txt").write_text('"a b"\n#7\n')
    imported = read_as_datumaro(root)
    assert list(imported) == ['"a b"'] and not imported['"a b"'].objects
    (root / "ImageSets/Segmentation/default.txt").write_text("a b\n")
    crowd = np.zeros((1, 1, 3), np.uint8)
    crowd[..., 2] = 32
    write_png(root / "SegmentationObject" / "a b.png", np.broadcast_to(crowd, (9, 7, 3)).copy())
    with pytest.raises(TargetRefuses, match="Undeclared color"):
        read_as_datumaro(root)
    (root / "labelmap.txt").write_text("a:b:0,0,0::\n")
    with pytest.raises(TargetRefuses, match="label map"):
        read_as_datumaro(root)


@readers
def test_voc_is_read_by_datumaro_and_wsss(tmp_path: Path, read: Reader) -> None:
    files = ["t1/1.jpg", "t2/1.jpg", "a b.png", "#7.png", "in deep/x y.PNG"]
    masks = small(tmp_path / "in", *files)
    export_masks(masks, "voc", Options(with_images="copy"), tmp_path / "o")
    imported = read(tmp_path / "o")
    assert set(imported) == {"t1/1", "t2/1", "a b", "_#7", "in deep/x y"}
    assert all(one.image is not None for one in imported.values())
    data = open_dataset({"root": tmp_path / "o"}, work=tmp_path)
    samples = {one.id: one for one in data.splits["default"]}
    assert set(samples) == {"t1__1", "t2__1", "a b", "_#7", "in deep__x y"}
    for item, name in zip(masks.items, samples, strict=True):
        sample = samples[name]
        assert sample.mask is not None and item.image is not None
        assert sample.image.read_bytes() == item.image.read_bytes()
        assert np.array_equal(np.array(Image.open(sample.mask)), np.array(Image.open(item.mask)))


FILES = ["t1/1.jpg", "t2/1.jpg", "a b/ü #1%.JPG", "c?d=e&f+g.png", "plain.png"]


def test_label_studio_finds_every_image(tmp_path: Path) -> None:
    masks = small(tmp_path / "in", *FILES)
    export_masks(masks, "label-studio", Options(with_images="copy"), tmp_path / "o")
    export_masks(masks, "label-studio", Options(), tmp_path / "p")
    for folder, root in ((tmp_path / "o", tmp_path / "o"), (tmp_path / "p", tmp_path / "in" / "images")):
        tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
        for item, task in zip(masks.items, tasks, strict=True):
            served = served_by_label_studio(task["data"]["image"], root)
            assert item.image is not None and served.read_bytes() == item.image.read_bytes()
        imported = label_studio_masks(folder, values(masks))
        assert all(np.array_equal(imported[name], mask) for name, mask in truth(masks).items())


def test_coco_names_the_users_files(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    masks = small(tmp_path / "in", *FILES)
    export_masks(masks, "coco", Options(with_images="copy"), tmp_path / "o")
    imported = coco_masks(tmp_path / "o" / "annotations.json")
    assert list(imported) == FILES
    for item in masks.items:
        assert item.image is not None and item.file is not None
        assert (tmp_path / "o" / "images" / item.file).read_bytes() == item.image.read_bytes()
        assert np.array_equal(imported[item.file], truth(masks)[item.id])


@pytest.mark.parametrize("format_name", ["overlay", "polygons"])
def test_pictures_and_polygons_have_the_paths_of_the_images(tmp_path: Path, format_name: str) -> None:
    masks = small(tmp_path / "in", *FILES)
    export_masks(masks, format_name, Options(), tmp_path / "o")
    suffix = {"overlay": ".png", "polygons": ".geojson"}[format_name]
    for file in FILES:
        path = tmp_path / "o" / f"{file.rpartition('.')[0]}{suffix}"
        assert path.is_file()
        if format_name == "polygons":
            assert json.loads(path.read_text(encoding="utf-8"))["image"] == file


@pytest.mark.parametrize("format_name", ["voc", "cvat", "overlay", "polygons"])
def test_images_with_the_same_name_and_different_suffixes(tmp_path: Path, format_name: str) -> None:
    masks = small(tmp_path / "in", "t/a.png", "t/a.jpg", "b.png")
    export_masks(masks, format_name, Options(), tmp_path / "o")
    record = json.loads((tmp_path / "o" / "export.json").read_text())
    assert record["images"] == 3 and record["renamed"] == {"t/a.png": "i0", "t/a.jpg": "i1"}


@pytest.mark.parametrize("format_name", ["voc", "coco", "cvat", "label-studio", "overlay", "polygons", "sheet"])
def test_names_of_250_bytes(tmp_path: Path, format_name: str) -> None:
    long = "ü" * 123 + "abcd.png"
    masks = small(tmp_path / "in", long, "deep/" + long, "short.png")
    takes = format_name in ("voc", "coco", "cvat", "label-studio")
    made = export_masks(masks, format_name, Options(with_images="copy" if takes else None), tmp_path / "o")
    assert made["images"] == 3 and "failed" not in made
    if format_name == "cvat":
        imported = read_as_datumaro(unpacked(tmp_path / "o" / ARCHIVE, tmp_path / "unpacked"))
        assert set(made["renamed"]) == {long, "deep/" + long}
        assert set(imported) == {*made["renamed"].values(), "short"}
        assert all(one.image is not None and one.objects for one in imported.values())
