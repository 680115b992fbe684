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
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import write_mask

Open = Callable[..., Dataset]
ErrorOf = Callable[..., InvalidInput]
LISTS = Path("ImageSets") / "Segmentation"


def labels(dataset: Dataset, split: str = "train") -> dict[str, list[str] | None]:
    return {
        sample.id: None if sample.labels is None else [dataset.classes.names[index] for index in sample.labels]
        for sample in dataset.split(split)
    }


def test_all_20_classes_by_default(voc: Path, open_at: Open) -> None:
    dataset = open_at(voc)
    assert len(dataset.classes) == 21 and dataset.classes.names[20] == "tvmonitor"
    assert list(dataset.splits) == ["train", "val"]
    assert labels(dataset) == {"a": ["cat"], "b": ["dog", "person"], "c": ["car"]}
    assert np.array_equal(np.unique(read_sample_mask(dataset.split("train")[1], dataset.classes)), [0, 12, 15])


def test_hidden_files_of_a_mac_are_ignored(voc: Path, open_at: Open) -> None:
    (voc / "SegmentationClass" / "below").mkdir()
    for name in (LISTS / "._train.txt", "SegmentationClass/below/._a.png", "JPEGImages/._a.png"):
        (voc / name).write_bytes(b"\0\5\x16\7Mac OS X        \xb0")
    assert list(open_at(voc).splits) == ["train", "val"]


def test_lists_of_masks_in_subfolders(voc: Path, open_at: Open, error_of: ErrorOf, lines: list[str]) -> None:
    for folder, image in (("JPEGImages", "a.png"), ("SegmentationClass", "a.png")):
        (voc / folder / "cats" / "tabby").mkdir(parents=True)
        shutil.copy(voc / folder / image, voc / folder / "cats" / "tabby" / image)
    pairs = "/JPEGImages/cats/tabby/a.png /SegmentationClass/cats/tabby/a.png\n/JPEGImages/b.png /Other/b.png\n"
    (voc / LISTS / "train.txt").write_text(pairs)
    samples = {sample.id: sample for sample in open_at(voc, splits=["train"]).split("train")}
    assert samples["cats__tabby__a"].mask == voc / "SegmentationClass" / "cats" / "tabby" / "a.png"
    assert [line for line in lines if "lists masks in" in line and "lists masks in Other;" in line]
    (voc / LISTS / "train.txt").write_text("/JPEGImages/cats/tabby/a.png /SegmentationClass/dogs/a.png\n")
    assert "not named after" in error_of(voc, splits=["train"]).problem


def test_selected_classes(voc: Path, open_at: Open) -> None:
    dataset = open_at(voc, classes=["person", "cat"])
    assert dataset.classes.names == ("background", "person", "cat")
    assert open_at(voc, classes="person, cat").classes == dataset.classes
    assert labels(dataset) == {"a": ["cat"], "b": ["person"], "c": []}
    b, c = dataset.split("train")[1:]
    truth = read_sample_mask(b, dataset.classes)
    assert np.array_equal(np.unique(truth), [0, 1])  # the dog is background, the person class 1
    assert np.array_equal(np.unique(read_sample_mask(c, dataset.classes)), [0])
    person = np.array([[0, 1, 255]], np.uint8)
    assert dataset.classes.decode(person).tolist() == [[0, 15, 255]]  # written with VOC's own ids


def test_unselected_classes_can_be_ignored(voc: Path, open_at: Open) -> None:
    dataset = open_at(voc, classes=["person"], other="ignore")
    assert np.array_equal(np.unique(read_sample_mask(dataset.split("train")[1], dataset.classes)), [0, 1, 255])


@pytest.mark.parametrize("pets", [[8, 12], ["cat", "dog"], [8, "dog"]])
def test_merged_classes(voc: Path, open_at: Open, pets: list[int | str]) -> None:
    dataset = open_at(voc, classes={"pet": pets, "human": 15})
    assert dataset.classes.names == ("background", "pet", "human")
    assert labels(dataset) == {"a": ["pet"], "b": ["pet", "human"], "c": []}
    assert np.array_equal(np.unique(read_sample_mask(dataset.split("train")[0], dataset.classes)), [0, 1])


def test_label_files_may_use_names_of_merged_classes(voc: Path, open_at: Open) -> None:
    (voc / "image_labels.csv").write_text("image_id,labels\na,pet\nb,dog\n")
    assert labels(open_at(voc, classes={"pet": [8, 12]})) == {"a": ["pet"], "b": ["pet"], "c": None}


def test_class_list(voc: Path, open_at: Open) -> None:
    (voc / "classes.txt").write_text("# comment\n0 background\n8 tabby\n12 hound\n15 human\n7 van\n")
    (voc / "image_labels.csv").write_text("image_id,labels\na,tabby\nb,hound human\nc,van\n")
    dataset = open_at(voc)
    assert dataset.classes.names == ("background", "tabby", "hound", "human", "van")
    assert dataset.classes.values == ((0,), (8,), (12,), (15,), (7,))
    assert open_at(voc, classes=["human"]).classes.other == {8, 12, 7}


def test_list_formats_of_other_tools(voc: Path, open_at: Open) -> None:
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


def test_only_configured_lists_are_read(voc: Path, open_at: Open, error_of: ErrorOf) -> None:
    (voc / LISTS / "broken.txt").write_text("absent\n")
    assert error_of(voc).subject == f"{voc / LISTS / 'broken.txt'}:1"
    assert list(open_at(voc, splits=["val"]).splits) == ["val"]
    error = error_of(voc, splits=["vall"])
    assert (error.subject, error.found, error.allowed) == ("data.splits", "vall", ("broken", "train", "val"))


def annotate(root: Path, name: str, *objects: str) -> None:
    (root / "Annotations").mkdir(exist_ok=True)
    body = "".join(f"<object><name>{kind}</name><difficult>1</difficult></object>" for kind in objects)
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation><filename>x</filename>{body}</annotation>")


def test_labels_from_annotations(voc: Path, open_at: Open, error_of: ErrorOf, lines: list[str]) -> None:
    (voc / "image_labels.csv").unlink()
    assert labels(open_at(voc)) == {"a": None, "b": None, "c": None}
    assert "no image-level labels" in lines[-1]
    annotate(voc, "a", "cat", "cat", "sofa")
    annotate(voc, "b")
    assert labels(open_at(voc)) == {"a": ["cat", "sofa"], "b": [], "c": None}
    annotate(voc, "c", "carr")
    error = error_of(voc)
    assert error.subject == str(voc / "Annotations" / "c.xml") and error.found == "carr"


@pytest.mark.parametrize(
    ("content", "stated"),
    [
        ("<annotation><object>", "XML"),
        ('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><annotation>&e;</annotation>', "entity"),
        ("<annotation>" + " " * 4_000_000 + "</annotation>", "4,000,000"),
    ],
)
def test_invalid_annotations(voc: Path, error_of: ErrorOf, content: str, stated: str) -> None:
    annotate(voc, "a", "cat")
    (voc / "Annotations" / "a.xml").write_text(content)
    error = error_of(voc, labels="annotations")
    assert error.subject == str(voc / "Annotations" / "a.xml") and stated in (error.problem or str(error.allowed))


def test_labels_from_masks_only_on_request(voc: Path, open_at: Open, lines: list[str]) -> None:
    (voc / "image_labels.csv").write_text("image_id,labels\na,dog\n")
    assert labels(open_at(voc))["a"] == ["dog"]
    assert not lines
    (voc / "SegmentationClass" / "c.png").unlink()
    assert labels(open_at(voc, labels="masks")) == {"a": ["cat"], "b": ["dog", "person"], "c": None}
    assert "derived from pixel labels" in lines[-1]


def test_require_labels(voc: Path, open_at: Open) -> None:
    (voc / "image_labels.csv").write_text("image_id,labels\na,cat\n")
    train = open_at(voc).split("train")
    require_labels(train[:1])
    with pytest.raises(InvalidInput) as error:
        require_labels(train)
    assert "2 of 3" in error.value.problem and error.value.problem.endswith(": b, c")


@pytest.mark.parametrize(
    ("file", "content", "line", "found"),
    [
        (LISTS / "train.txt", "a\n\nabsent\n", ":3", None),
        (LISTS / "train.txt", "a\nb\na\n", ":3", None),
        (LISTS / "train.txt", "\n \n", "", None),
        (LISTS / "train.txt", "a\n../d\n", ":2", None),
        (LISTS / "train.txt", "a\n/etc/passwd\n", ":2", None),
        (LISTS / "train.txt", "a..b\n", ":1", None),
        (LISTS / "train.txt", "a\\b\n", ":1", None),
        ("image_labels.csv", "image_id,labels\na,cta\n", ":2", "cta"),
        ("image_labels.csv", "image_id,labels\na,cat\na,dog\n", ":3", None),
        ("image_labels.csv", "image_id;labels\na;cat\n", ":1", "image_id;labels"),
        ("image_labels.csv", "image_id,labels\na\n", ":2", 1),
        ("image_labels.csv", "", "", None),
        ("classes.txt", "cat\ncat\n", ":2", None),
        ("classes.txt", "1 cat\n1 dog\n", ":2", None),
        ("classes.txt", "1 cat\n255 dog\n", ":2", 255),
        ("classes.txt", "3 background\n", ":1", 3),
        ("classes.txt", "# none\n", "", None),
    ],
)
def test_errors_name_file_and_line(
    voc: Path, error_of: ErrorOf, file: Path | str, content: str, line: str, found: object
) -> None:
    (voc / file).write_text(content)
    error = error_of(voc)
    assert (error.subject, error.found, error.exit_code) == (f"{voc / file}{line}", found, 2)


@pytest.mark.parametrize(
    ("config", "subject", "found", "allowed"),
    [
        ({"classes": ["cat", "hosre"]}, "data.classes", "hosre", "horse"),
        ({"classes": []}, "data.classes", None, "at least one class"),
        ({"classes": {"pet": []}}, "data.classes", None, "at least one class"),
        ({"classes": {"background": 8}}, "data.classes", "background", "foreground classes"),
        ({"classes": [8]}, "data.classes", [8], "a mapping of names to ids"),
        ({"other": "ignored"}, "data.other", "ignored", "ignore"),
        ({"splits": "train"}, "data.splits", "train", "a list"),
    ],
)
def test_config_errors_name_the_key(
    voc: Path, error_of: ErrorOf, config: dict[str, object], subject: str, found: object, allowed: str
) -> None:
    error = error_of(voc, **config)
    assert (error.subject, error.found) == (subject, found) and allowed in (error.allowed or ())


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (["cat", "cat"], "'cat'"),
        ({"pet": [8, 12], "dog": 12}, "id 12 belongs to both 'pet' and 'dog'"),
        ({"pet": 255}, "class 'pet': "),
        ({"pet": [8, 0]}, "class 'pet': "),
    ],
)
def test_contradictory_classes(voc: Path, error_of: ErrorOf, classes: object, named: str) -> None:
    error = error_of(voc, classes=classes)
    assert error.subject == "data.classes" and named in error.problem


def test_labels_from_missing_annotations(voc: Path, error_of: ErrorOf) -> None:
    assert error_of(voc, labels="annotations").subject == "data.labels: annotations"


def test_ambiguous_ids(voc: Path, error_of: ErrorOf) -> None:
    (voc / "JPEGImages" / "a.JPG").write_bytes(b"x")
    error = error_of(voc)
    assert str(error.subject).endswith("train.txt:1") and error.found == ["a.JPG", "a.png"]


def test_unknown_mask_values(voc: Path, open_at: Open) -> None:
    dataset = open_at(voc)
    sample = dataset.split("train")[0]
    assert sample.mask is not None
    write_mask(sample.mask, np.array([[0, 21, 200]], np.uint8))
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(sample, dataset.classes)
    assert (error.value.subject, error.value.found) == (str(sample.mask), [21, 200])


def test_lists_must_be_utf8(voc: Path, open_at: Open, error_of: ErrorOf) -> None:
    (voc / LISTS / "train.txt").write_bytes(b"a\n\xff\xfe\n")
    error = error_of(voc)
    assert error.subject == str(voc / LISTS / "train.txt") and "byte 2" in error.problem
    (voc / LISTS / "train.txt").write_bytes("\ufeffa\n".encode())
    assert [sample.id for sample in open_at(voc).split("train")] == ["a"]


def test_no_list(voc: Path, error_of: ErrorOf) -> None:
    for path in (voc / LISTS).iterdir():
        path.unlink()
    error = error_of(voc)
    assert error.subject == str(voc / LISTS) and "train.txt" in str(error.hint)


def test_incomplete_datasets_list_missing_images(voc: Path, tmp_path: Path) -> None:
    (voc / "JPEGImages" / "b.png").unlink()
    config = {"root": str(voc), "layout": "voc"}
    assert open_dataset(config, work=tmp_path, complete=False).missing == {"b"}
    shutil.rmtree(voc / "JPEGImages")
    dataset = open_dataset(config, work=tmp_path, complete=False)
    assert dataset.missing == set("abcd") and labels(dataset)["b"] == ["dog", "person"]
    assert len(dataset.fingerprint("train", "images")) == 64
