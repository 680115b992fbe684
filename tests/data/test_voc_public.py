"""Variants of lists, annotations and masks in the public VOC 2012 and related datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.data.checks.check import check_config
from wsss.data.dataset import Dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import voc_palette

Open = Callable[..., Dataset]
ErrorOf = Callable[..., InvalidInput]
LISTS = Path("ImageSets") / "Segmentation"

PERSON = """<?xml version="1.0" encoding="utf-8"?>\r
<annotation><folder>VOC2012</folder><filename>a.jpg</filename>\r
<object><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>
<part><name>hand</name></part><actions><running>1</running></actions>
<difficult>1</difficult><name> person </name></object>
<object><name>sofa</name><pose>Left</pose></object><segmented>1</segmented></annotation>\r
"""


@pytest.fixture
def annotated(voc: Path) -> Path:
    (voc / "image_labels.csv").unlink()
    (voc / "Annotations").mkdir()
    (voc / "Annotations" / "a.xml").write_bytes(PERSON.encode("utf-8-sig"))
    return voc


def test_annotations_with_parts_and_difficult_objects(annotated: Path, open_at: Open) -> None:
    dataset = open_at(annotated)
    names = {
        split.id: split.labels and [dataset.classes.names[index] for index in split.labels]
        for split in dataset.split("train")
    }
    assert names == {"a": ["person", "sofa"], "b": None, "c": None}  # b and c have no annotation


def test_lists_with_crlf_spaces_and_a_byte_order_mark(voc: Path, open_at: Open) -> None:
    (voc / LISTS / "train.txt").write_bytes(b"\xef\xbb\xbfa  \r\n\r\n b\t\r\nc\r\n")
    assert [sample.id for sample in open_at(voc).split("train")] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "line",
    [
        "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png",
        "JPEGImages/{0}.jpg SegmentationClass/{0}.png",
        "/VOC2012/JPEGImages/{0}.png /VOC2012/SegmentationClass/{0}.png",
        "VOCdevkit/VOC2012/JPEGImages/{0}.jpg",
        "{0}.jpg",
        "{0}",
    ],
)
def test_lists_of_paths(voc: Path, open_at: Open, lines: list[str], line: str) -> None:
    (voc / LISTS / "train_aug.txt").write_text("".join(line.format(name) + " \n" for name in "ac"))
    dataset = open_at(voc)
    assert [sample.id for sample in dataset.split("train_aug")] == ["a", "c"]
    assert all(sample.mask == voc / "SegmentationClass" / f"{sample.id}.png" for sample in dataset.split("train_aug"))
    assert not lines


def test_masks_in_unused_folders_are_logged(voc: Path, open_at: Open, lines: list[str]) -> None:
    (voc / LISTS / "train_aug.txt").write_text("/JPEGImages/a.jpg /SegmentationClassRaw/a.png\n")
    open_at(voc)
    (line,) = lines
    assert "train_aug.txt lists masks in SegmentationClassRaw" in line and "(data.masks)" in line
    lines.clear()
    open_at(voc, masks=["SegmentationClassRaw", "SegmentationClass"])
    assert not lines


def test_masks_in_lists_must_have_the_name_of_their_image(voc: Path, error_of: ErrorOf) -> None:
    (voc / LISTS / "train_aug.txt").write_text("/JPEGImages/a.jpg /SegmentationClass/b.png\n")
    error = error_of(voc)
    assert error.subject == f"{voc / LISTS / 'train_aug.txt'}:1" and "/SegmentationClass/b.png" in error.problem


def test_the_column_of_presence_is_logged(voc: Path, open_at: Open, lines: list[str]) -> None:
    main = voc / "ImageSets" / "Main"
    main.mkdir()
    (main / "cat_train.txt").write_text("a  1\nb -1\nc  0\n")
    assert set(open_at(voc).splits) == {"train", "val"} and not lines  # lists in Main are not splits
    (voc / LISTS / "cat_train.txt").write_text("a  1\nb -1\nc  0\n")
    dataset = open_at(voc)
    assert [sample.id for sample in dataset.split("cat_train")] == ["a", "b", "c"]
    assert any(
        "cat_train.txt: the column of -1, 0 and 1 is ignored; the split contains all 3 images" in line for line in lines
    )


def test_ids_without_a_mask(voc: Path, open_at: Open, tmp_path: Path) -> None:
    (voc / "SegmentationClass" / "c.png").unlink()
    assert [sample.mask is None for sample in open_at(voc).split("train")] == [False, False, True]
    report = check_config({"root": str(voc)}, work=tmp_path / "work")
    (note,) = (note for note in report.notes if note.kind == "images without a mask, in splits that have masks")
    assert note.examples == ("train: c",)


def recolour(path: Path, *, mode: str) -> None:
    with Image.open(path) as image:
        values = np.asarray(image)
    if mode == "grey":  # like converted masks of SBD
        Image.fromarray(values).save(path)
    else:
        Image.fromarray(voc_palette()[values]).convert(mode).save(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "grey"])
def test_masks_in_colours(voc: Path, open_at: Open, tmp_path: Path, mode: str) -> None:
    before = {split.id: read_sample_mask(split, open_at(voc).classes) for split in open_at(voc).split("train")}
    for path in (voc / "SegmentationClass").iterdir():
        recolour(path, mode=mode)
    dataset = open_at(voc)
    for sample in dataset.split("train"):
        assert np.array_equal(read_sample_mask(sample, dataset.classes), before[sample.id])
    report = check_config({"root": str(voc)}, work=tmp_path / "work")
    notes = {note.kind: note.count for note in report.notes}
    assert notes.get("masks read from colours of VOC's palette", 0) == (0 if mode == "grey" else 4)
    assert not report.problems


def test_unknown_colours_and_values(voc: Path, open_at: Open) -> None:
    pixels = np.zeros((12, 16, 3), np.uint8)
    pixels[4:, 4:] = (10, 20, 30)
    Image.fromarray(pixels).save(voc / "SegmentationClass" / "a.png")
    dataset = open_at(voc)
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(dataset.split("train")[0], dataset.classes)
    assert error.value.subject == str(voc / "SegmentationClass" / "a.png")
    assert "(10, 20, 30)" in str(error.value.found)
    pixels[4:, 4:] = voc_palette()[21]  # a 21st object, as in SegmentationObject
    Image.fromarray(pixels).save(voc / "SegmentationClass" / "a.png")
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(dataset.split("train")[0], dataset.classes)
    assert error.value.found == [21]


def test_the_first_mask_folder_takes_precedence(voc: Path, open_at: Open) -> None:
    (voc / "SegmentationClassAug").mkdir()
    for name in "ab":
        Image.fromarray(np.full((12, 16), 8, np.uint8)).save(voc / "SegmentationClassAug" / f"{name}.PNG")
    (voc / "SegmentationClass" / "b.png").unlink()
    masks = {sample.id: sample.mask for sample in open_at(voc).split("train")}
    assert masks["a"] == voc / "SegmentationClass" / "a.png"
    assert masks["b"] == voc / "SegmentationClassAug" / "b.PNG"


def test_configured_mask_folders_must_exist(voc: Path, open_at: Open, error_of: ErrorOf) -> None:
    assert error_of(voc, masks=["Truth"]).subject == f"data.masks: {voc / 'Truth'}"
    assert open_at(voc, masks=["Truth", "SegmentationClass"]).split("train")[0].mask is not None
