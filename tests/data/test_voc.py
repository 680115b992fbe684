"""The reader of the VOC layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsss.data.dataset import Dataset
from wsss.data.readers.registry import open_dataset
from wsss.data.sample import require_labels
from wsss.data.truth import read_truth
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import write_mask

Open = Callable[..., Dataset]
LISTS = Path("ImageSets") / "Segmentation"


def labels(dataset: Dataset, split: str = "train") -> dict[str, list[str] | None]:
    return {
        sample.id: None if sample.labels is None else [dataset.classes.names[index] for index in sample.labels]
        for sample in dataset.split(split)
    }


def test_all_20_classes_without_a_choice(voc: Path, open_at: Open) -> None:
    dataset = open_at(voc)
    assert len(dataset.classes) == 21 and dataset.classes.names[20] == "tvmonitor"
    assert list(dataset.splits) == ["train", "val"]
    assert labels(dataset) == {"a": ["cat"], "b": ["dog", "person"], "c": ["car"]}
    assert np.array_equal(np.unique(read_truth(dataset.split("train")[1], dataset.classes)), [0, 12, 15])


def test_a_subset_renumbers_and_drops_labels(voc: Path, open_at: Open) -> None:
    dataset = open_at(voc, classes=["person", "cat"])
    assert dataset.classes.names == ("background", "person", "cat")
    assert open_at(voc, classes="person, cat").classes == dataset.classes
    assert labels(dataset) == {"a": ["cat"], "b": ["person"], "c": []}
    b, c = dataset.split("train")[1:]
    truth = read_truth(b, dataset.classes)
    assert np.array_equal(np.unique(truth), [0, 1])  # the dog is background, the person class 1
    assert np.array_equal(np.unique(read_truth(c, dataset.classes)), [0])
    person = np.array([[0, 1, 255]], np.uint8)
    assert dataset.classes.decode(person).tolist() == [[0, 15, 255]]  # written with VOC's own ids


def test_classes_left_out_can_be_ignored(voc: Path, open_at: Open) -> None:
    dataset = open_at(voc, classes=["person"], other="ignore")
    assert np.array_equal(np.unique(read_truth(dataset.split("train")[1], dataset.classes)), [0, 1, 255])


@pytest.mark.parametrize("pets", [[8, 12], ["cat", "dog"], [8, "dog"]])
def test_classes_can_be_merged(voc: Path, open_at: Open, pets: list[int | str]) -> None:
    dataset = open_at(voc, classes={"pet": pets, "human": 15})
    assert dataset.classes.names == ("background", "pet", "human")
    assert labels(dataset) == {"a": ["pet"], "b": ["pet", "human"], "c": []}
    assert np.array_equal(np.unique(read_truth(dataset.split("train")[0], dataset.classes)), [0, 1])


def test_a_label_file_may_use_the_new_names(voc: Path, open_at: Open) -> None:
    (voc / "image_labels.csv").write_text("image_id,labels\na,pet\nb,dog\n")
    assert labels(open_at(voc, classes={"pet": [8, 12]})) == {"a": ["pet"], "b": ["pet"], "c": None}


def test_own_classes_of_a_file(voc: Path, open_at: Open) -> None:
    (voc / "classes.txt").write_text("# ours\n0 background\n8 tabby\n12 hound\n15 human\n7 van\n")
    (voc / "image_labels.csv").write_text("image_id,labels\na,tabby\nb,hound human\nc,van\n")
    dataset = open_at(voc)
    assert dataset.classes.names == ("background", "tabby", "hound", "human", "van")
    assert dataset.classes.values == ((0,), (8,), (12,), (15,), (7,))
    assert open_at(voc, classes=["human"]).classes.other == {8, 12, 7}


def test_lists_of_other_tools(voc: Path, open_at: Open) -> None:
    (voc / LISTS / "train.txt").write_text("a 1\r\nb -1\r\n\r\n")
    (voc / LISTS / "train_aug.txt").write_text(
        "/JPEGImages/a.png /SegmentationClassAug/a.png\nJPEGImages/c.png SegmentationClassAug/c.png\n"
    )
    write_mask(voc / "SegmentationClassAug" / "c.png", np.full((12, 16), 15, np.uint8))
    (voc / "SegmentationClass" / "c.png").unlink()
    dataset = open_at(voc)
    assert [sample.id for sample in dataset.split("train")] == ["a", "b"]
    a, c = dataset.split("train_aug")
    assert a.mask == voc / "SegmentationClass" / "a.png"
    assert c.mask == voc / "SegmentationClassAug" / "c.png"
    only_aug = open_at(voc, masks=["SegmentationClassAug"])
    assert [sample.mask is None for sample in only_aug.split("train_aug")] == [True, False]


def test_only_the_lists_asked_for_are_read(voc: Path, open_at: Open) -> None:
    (voc / LISTS / "broken.txt").write_text("absent\n")
    with pytest.raises(InvalidInput, match=r"broken\.txt:1: image 'absent' is listed"):
        open_at(voc)
    assert list(open_at(voc, splits=["val"]).splits) == ["val"]
    with pytest.raises(
        InvalidInput, match=r"Segmentation has no split 'vall'; there are broken, train, val; did you mean 'val'"
    ):
        open_at(voc, splits=["vall"])


def annotate(root: Path, name: str, *objects: str) -> None:
    (root / "Annotations").mkdir(exist_ok=True)
    body = "".join(f"<object><name>{kind}</name><difficult>1</difficult></object>" for kind in objects)
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation><filename>x</filename>{body}</annotation>")


def test_labels_of_annotations(voc: Path, open_at: Open, lines: list[str]) -> None:
    (voc / "image_labels.csv").unlink()
    assert labels(open_at(voc)) == {"a": None, "b": None, "c": None}
    assert "no image-level labels" in lines[-1]
    annotate(voc, "a", "cat", "cat", "sofa")
    annotate(voc, "b")
    assert labels(open_at(voc)) == {"a": ["cat", "sofa"], "b": [], "c": None}
    annotate(voc, "c", "carr")
    with pytest.raises(InvalidInput, match=r"c\.xml: unknown class 'carr'.*did you mean 'car'"):
        open_at(voc)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<annotation><object>", "not well-formed XML"),
        ('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><annotation>&e;</annotation>', "refused"),
        ("<annotation>" + " " * 4_000_000 + "</annotation>", "at most 4,000,000"),
    ],
)
def test_bad_annotations_are_refused(voc: Path, open_at: Open, content: str, words: str) -> None:
    annotate(voc, "a", "cat")
    (voc / "Annotations" / "a.xml").write_text(content)
    with pytest.raises(InvalidInput, match=r"a\.xml: ") as found:
        open_at(voc, labels="annotations")
    assert words in str(found.value)


def test_labels_of_masks_only_when_asked(voc: Path, open_at: Open, lines: list[str]) -> None:
    (voc / "image_labels.csv").write_text("image_id,labels\na,dog\n")
    assert labels(open_at(voc))["a"] == ["dog"]
    assert not lines
    (voc / "SegmentationClass" / "c.png").unlink()
    assert labels(open_at(voc, labels="masks")) == {"a": ["cat"], "b": ["dog", "person"], "c": None}
    assert "derived from pixel labels" in lines[-1]


def test_missing_labels_are_named_to_who_needs_them(voc: Path, open_at: Open) -> None:
    (voc / "image_labels.csv").write_text("image_id,labels\na,cat\n")
    train = open_at(voc).split("train")
    require_labels(train[:1])
    with pytest.raises(InvalidInput, match=r"2 of 3 images have no image-level labels: b, c\."):
        require_labels(train)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (LISTS / "train.txt", "a\n\nabsent\n", "train.txt:3: image 'absent' is listed, and there is no such image"),
        (LISTS / "train.txt", "a\nb\na\n", "train.txt:3: image id 'a' is listed twice; the first time is in line 1"),
        (LISTS / "train.txt", "\n \n", "train.txt: the split is empty"),
        (LISTS / "train.txt", "a\n../d\n", "train.txt:2: image id '../d' has a path separator"),
        (LISTS / "train.txt", "a\n/etc/passwd\n", "train.txt:2: image id '/etc/passwd' has a path separator"),
        (LISTS / "train.txt", "a..b\n", "train.txt:1: image id 'a..b' has '..' in it"),
        (LISTS / "train.txt", "a\\b\n", "train.txt:1: image id 'a\\\\b' has a path separator"),
        ("image_labels.csv", "image_id,labels\na,cta\n", "image_labels.csv:2: unknown class 'cta'"),
        ("image_labels.csv", "image_id,labels\na,cta\n", "did you mean 'cat'?"),
        ("image_labels.csv", "image_id,labels\na,cat\na,dog\n", "image_labels.csv:3: image id 'a' comes twice"),
        ("image_labels.csv", "image_id;labels\na;cat\n", "image_labels.csv:1: the header is 'image_id;labels'"),
        ("image_labels.csv", "image_id,labels\na\n", "image_labels.csv:2: the row has 1 cell, the header 2"),
        ("image_labels.csv", "", "image_labels.csv: the file is empty"),
        ("classes.txt", "cat\ncat\n", "classes.txt:2: class 'cat' is listed twice"),
        ("classes.txt", "1 cat\n1 dog\n", "classes.txt:2: id 1 is given to two classes"),
        ("classes.txt", "1 cat\n255 dog\n", "classes.txt:2: class id 255; allowed are 1 to 254"),
        ("classes.txt", "3 background\n", "classes.txt:1: the background is id 0"),
        ("classes.txt", "# none\n", "classes.txt: no class in it"),
    ],
)
def test_bad_files_are_named_with_their_line(voc: Path, open_at: Open, file: Path, content: str, words: str) -> None:
    (voc / file).write_text(content)
    with pytest.raises(InvalidInput) as found:
        open_at(voc)
    assert words in str(found.value)
    assert found.value.exit_code == 2


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"classes": ["cat", "hosre"]}, "data.classes: unknown class 'hosre'"),
        ({"classes": ["cat", "hosre"]}, "did you mean 'horse'?"),
        ({"classes": ["cat", "cat"]}, "data.classes: class 'cat' is listed twice"),
        ({"classes": []}, "data.classes: at least one class is needed"),
        ({"classes": {"pet": []}}, "data.classes: at least one class is needed, and at least one id"),
        ({"classes": {"pet": [8, 12], "dog": 12}}, "id 12 is claimed by 'pet' and by 'dog'"),
        ({"classes": {"background": 8}}, "'background' is always there"),
        ({"classes": {"pet": 255}}, "class 'pet': expected a class id from 1 to 254, a class name, or a list of these"),
        ({"classes": {"pet": [8, 0]}}, "class 'pet': expected a class id from 1 to 254"),
        (
            {"classes": [8]},
            "data.classes: expected a list of class names (or cat,dog), or a mapping of names to ids",
        ),
        ({"clases": ["cat"]}, "data.clases: unknown key"),
        ({"clases": ["cat"]}, "did you mean 'classes'?"),
        ({"other": "ignored"}, "data.other"),
        ({"labels": "annotations"}, "Annotations is no folder"),
        ({"splits": "train"}, "data.splits"),
    ],
)
def test_bad_configs_are_named_with_their_key(voc: Path, open_at: Open, config: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput) as found:
        open_at(voc, **config)
    assert words in str(found.value)


def test_two_files_of_one_id_are_refused(voc: Path, open_at: Open) -> None:
    (voc / "JPEGImages" / "a.JPG").write_bytes(b"x")
    with pytest.raises(InvalidInput, match=r"train\.txt:1: image 'a' stands for 2 files .*a\.JPG, a\.png"):
        open_at(voc)


def test_a_value_of_no_class_is_refused(voc: Path, open_at: Open) -> None:
    dataset = open_at(voc)
    sample = dataset.split("train")[0]
    assert sample.mask is not None
    write_mask(sample.mask, np.array([[0, 21, 200]], np.uint8))
    with pytest.raises(InvalidInput, match=r"a\.png: mask value 21, 200 stands for no class; allowed are 0, 1, 2"):
        read_truth(sample, dataset.classes)


def test_lists_that_are_not_text_are_refused(voc: Path, open_at: Open) -> None:
    (voc / LISTS / "train.txt").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(InvalidInput, match=r"train\.txt: not UTF-8 text \(.* at byte 2\)"):
        open_at(voc)
    (voc / LISTS / "train.txt").write_bytes("\ufeffa\n".encode())
    assert [sample.id for sample in open_at(voc).split("train")] == ["a"]


def test_no_list_at_all(voc: Path, open_at: Open) -> None:
    for path in (voc / LISTS).iterdir():
        path.unlink()
    with pytest.raises(InvalidInput, match=r"no list of images .*\n.*train\.txt with one image id per line"):
        open_at(voc)


def test_an_incomplete_dataset_names_what_is_missing(voc: Path, tmp_path: Path) -> None:
    (voc / "JPEGImages" / "b.png").unlink()
    config = {"root": str(voc), "layout": "voc"}
    assert open_dataset(config, work=tmp_path, complete=False).missing == {"b"}
    shutil.rmtree(voc / "JPEGImages")
    dataset = open_dataset(config, work=tmp_path, complete=False)
    assert dataset.missing == set("abcd") and labels(dataset)["b"] == ["dog", "person"]
    assert len(dataset.fingerprint("train", "images")) == 64
