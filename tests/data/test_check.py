"""The integrity check reports every kind of defect, as a problem or a note."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsss.data.checks.check import check_config, check_dataset
from wsss.data.checks.check_report import Report
from wsss.data.checks.split_checks import is_leak
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import read_image, write_png

Open = Callable[..., Dataset]
CLASSES = ["cat", "dog", "person", "car"]


@pytest.fixture
def check(voc: Path, open_at: Open) -> Callable[..., Report]:
    return lambda **config: check_dataset(open_at(voc, **{"classes": CLASSES, **config}))


def problems(report: Report) -> dict[str, tuple[str, ...]]:
    return {finding.kind: finding.examples for finding in report.problems}


def notes(report: Report) -> dict[str, tuple[str, ...]]:
    return {finding.kind: finding.examples for finding in report.notes}


def test_a_class_may_be_called_ignore(voc: Path, open_at: Open) -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[:, :3], mask[:, 3:9] = 8, 255
    write_mask(voc / "SegmentationClass" / "a.png", mask)
    pixels = check_dataset(open_at(voc, classes={"ignore": "cat", "dog": "dog"})).splits["train"].class_pixels
    assert pixels is not None and sum(pixels.values()) == pytest.approx(1)
    assert pixels["ignore"] == pytest.approx(3 / 48) and pixels["ignored"] == pytest.approx(6 / 48)


def test_a_clean_dataset(voc: Path, check: Callable[..., Report]) -> None:
    report = check()
    assert report.problems == ()
    assert report.classes == ("cat", "dog", "person", "car")
    assert report.sizes == ((12, 16), (12, 16))
    train = report.splits["train"]
    assert (train.images, train.labelled, train.masked) == (3, 3, 3)
    assert train.class_images == {"cat": 1, "dog": 1, "person": 1, "car": 1}
    assert train.class_pixels is not None
    assert train.class_pixels["cat"] == pytest.approx(3 / 48) and sum(train.class_pixels.values()) == pytest.approx(1)
    assert notes(report) == {
        "splits with a single image": ("val",),
        "splits without an image of some class": ("val: dog, person, car",),
    }
    assert json.loads(json.dumps(report.to_json()))["ok"] is True


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"no image at all")


@pytest.mark.parametrize(
    ("damage", "words"), [(cut, "broken or truncated"), (empty, "empty (0 bytes)"), (garbage, "not an image")]
)
def test_unreadable_files(voc: Path, check: Callable[..., Report], damage: Callable[[Path], None], words: str) -> None:
    damage(voc / "JPEGImages" / "a.png")
    damage(voc / "SegmentationClass" / "b.png")
    result = problems(check())
    assert set(result) == {"unreadable images", "invalid masks"}
    assert "a.png" in result["unreadable images"][0] and words in result["unreadable images"][0]
    assert "b.png" in result["invalid masks"][0] and words in result["invalid masks"][0]


def test_masks_of_another_size_or_with_unknown_values(voc: Path, check: Callable[..., Report]) -> None:
    write_mask(voc / "SegmentationClass" / "a.png", np.full((6, 16), 8, np.uint8))
    write_mask(voc / "SegmentationClass" / "b.png", np.full((12, 16), 77, np.uint8))
    Image.new("RGB", (16, 12), (255, 0, 9)).save(voc / "SegmentationClass" / "c.png")
    result = problems(check())
    assert "16×6 (width×height), its image 16×12" in result["masks that differ in size from their image"][0]
    values, colours = result["invalid masks"]
    assert "b.png: unknown mask value" in values
    assert "c.png: " in colours and "got (255, 0, 9)" in colours


def test_converted_and_rotated_images(voc: Path, check: Callable[..., Report]) -> None:
    for name in "abc":
        (voc / "JPEGImages" / f"{name}.png").unlink()
    Image.new("CMYK", (16, 12), (9, 9, 9, 9)).save(voc / "JPEGImages" / "a.jpg")
    Image.new("HSV", (16, 12), (9, 9, 9)).convert("YCbCr").save(voc / "JPEGImages" / "b.tif")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 16), (200, 9, 9)).save(voc / "JPEGImages" / "c.jpg", exif=exif)  # upright: 16 × 12
    assert read_image(voc / "JPEGImages" / "c.jpg").shape == (12, 16, 3)
    report = check()
    assert report.problems == ()
    assert notes(report)["images of other kinds, converted to 8-bit RGB"] == ("a.jpg (CMYK)", "b.tif (YCbCr)")
    assert notes(report)["images rotated by their EXIF orientation"] == ("c.jpg",)

    write_mask(voc / "SegmentationClass" / "c.png", np.full((16, 12), 7, np.uint8))  # drawn on the image as stored
    (message,) = problems(check())["masks that differ in size from their image"]
    assert "matches the image as stored" in message


def test_labels_that_contradict_masks(voc: Path, check: Callable[..., Report]) -> None:
    (voc / "image_labels.csv").write_text("image_id,labels\na,cat dog\nb,person\nc,car\nd,cat\n")
    result = problems(check())
    assert result["labels without a pixel in the mask"] == ("a: 'dog' has a label but no pixel",)
    assert result["mask classes without a label"] == ("b: 'dog' has 36 pixels but no label",)
    mask = np.zeros((12, 16), np.uint8)
    mask[:, :8], mask[0, 15] = 8, 255  # the ignored pixel may show the dog
    write_mask(voc / "SegmentationClass" / "a.png", mask)
    report = check()
    assert set(problems(report)) == {"mask classes without a label"}
    assert notes(report)["labels without a pixel in masks with ignored pixels (255)"]


def test_images_in_several_splits(voc: Path, check: Callable[..., Report]) -> None:
    lists = voc / "ImageSets" / "Segmentation"
    (lists / "trainval.txt").write_text("a\nb\nc\nd\n")
    report = check()
    assert report.problems == ()
    assert notes(report)["images in both train and trainval"] == ("a", "b", "c")
    (lists / "val.txt").write_text("d\nb\n")
    assert problems(check()) == {"images in both train and val": ("b",)}


def test_duplicates_under_another_id(voc: Path, check: Callable[..., Report]) -> None:
    (voc / "JPEGImages" / "c.png").write_bytes((voc / "JPEGImages" / "b.png").read_bytes())
    report = check()
    assert report.problems == () and notes(report)["groups of identical image files"] == ("b, c",)
    (voc / "JPEGImages" / "d.png").write_bytes((voc / "JPEGImages" / "a.png").read_bytes())
    report = check()
    assert problems(report) == {"groups of identical image files in train and held-out splits": ("a (train), d (val)",)}
    assert report.copies == (("a", "d"), ("b", "c")) and report.to_json()["copies"] == [["a", "d"], ["b", "c"]]


def test_copies_with_other_labels(voc: Path, check: Callable[..., Report]) -> None:
    (voc / "JPEGImages" / "c.png").write_bytes((voc / "JPEGImages" / "b.png").read_bytes())
    kind = "identical image files with different image-level labels"
    (voc / "image_labels.csv").write_text("image_id,labels\na,cat dog\nb,dog\nc,dog\nd,cat\n")
    assert kind not in notes(check())
    (voc / "image_labels.csv").write_text("image_id,labels\na,cat dog\nb,dog\nc,\nd,cat\n")
    assert notes(check())[kind] == ("b (dog), c (no class)",)


def test_an_image_in_two_splits_is_not_a_copy_of_itself(voc: Path, check: Callable[..., Report]) -> None:
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("d\nb\n")
    assert check().copies == ()
    (voc / "JPEGImages" / "c.png").write_bytes((voc / "JPEGImages" / "b.png").read_bytes())
    report = check()
    assert problems(report)["groups of identical image files in train and held-out splits"] == (
        "b (train, val), c (train)",
    )


@pytest.mark.parametrize("splits", [("train",), ("train", "val")])
def test_report_on_copies_grows_linearly(voc: Path, open_at: Open, splits: tuple[str, ...]) -> None:
    sizes = []
    for count in (200, 2000):
        samples = [Sample(f"x{number:04}", voc / "JPEGImages" / "a.png") for number in range(count)]
        parts = {name: tuple(samples[number :: len(splits)]) for number, name in enumerate(splits)}
        report = check_dataset(Dataset("copies", voc, open_at(voc).classes, parts))
        (group,) = report.copies
        assert sorted(group) == [sample.id for sample in samples]
        kinds = {**notes(report), **problems(report)}
        assert [len(found) for kind, found in kinds.items() if "identical image files" in kind] == [1]
        sizes.append(len(json.dumps(report.to_json())))
    assert sizes[1] < 11 * sizes[0]


def test_leaks() -> None:
    assert is_leak("train", "val") and is_leak("val", "train_aug") and is_leak("test_indist", "train")
    for one, other in (("train", "trainval"), ("trainval", "val"), ("val", "test"), ("train", "train_aug")):
        assert not is_leak(one, other)


def test_missing_labels_and_masks(voc: Path, check: Callable[..., Report]) -> None:
    (voc / "image_labels.csv").write_text("image_id,labels\na,cat\nb,dog person\n")
    (voc / "SegmentationClass" / "b.png").unlink()
    report = check()
    assert report.problems == ()
    result = notes(report)
    assert result["images without image-level labels"] == ("train: c",)
    assert result["splits without image-level labels"] == ("val",)
    assert result["images without a mask, in splits that have masks"] == ("train: b",)
    assert report.splits["train"].masked == 2


def test_a_single_class_without_negative_images(folder: Path, open_at: Open) -> None:
    report = check_dataset(open_at(folder))
    kind = "splits in which every labelled image shows the only class"
    assert kind not in notes(report)
    (folder / "labels.csv").write_text("image_id,labels\n" + "".join(f"i{n},sun\n" for n in range(10)))
    report = check_dataset(open_at(folder))
    assert report.problems == ()
    assert len(notes(report)[kind]) == 2 and "'sun'" in notes(report)[kind][0]
    rows = "".join(f"i{n},{'sun' if n % 2 else ''}\n" for n in range(10))
    (folder / "labels.csv").write_text("image_id,labels\n" + rows)
    report = check_dataset(open_at(folder, val_fraction=0))
    assert kind not in notes(report) and len(notes(report)["images without any class"]) == 5


def test_a_dataset_that_cannot_be_opened_is_a_problem(voc: Path, tmp_path: Path) -> None:
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("absent\n")
    report = check_config({"root": str(voc)}, work=tmp_path / "work")
    (message,) = problems(report)["datasets that cannot be opened"]
    assert "train.txt:1" in message


def test_findings_count_all_examples_but_list_100(tmp_path: Path, open_at: Open) -> None:
    rows = ["image_id,labels"]
    for number in range(105):
        write_png(tmp_path / "many" / "images" / f"x{number}.png", np.full((2, 2, 3), number, np.uint8))
        rows.append(f"x{number},sun")
        (tmp_path / "many" / "images" / f"x{number}.png").write_bytes(b"")
    (tmp_path / "many" / "labels.csv").write_text("\n".join(rows))
    steps: list[int] = []
    report: Any = check_dataset(open_at(tmp_path / "many"), advance=steps.append).to_json()
    assert sum(steps) == 105
    assert report["problems"][0]["count"] == 105 and len(report["problems"][0]["examples"]) == 100
    assert report["sizes"] is None and report["ok"] is False
