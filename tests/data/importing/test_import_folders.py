"""Roles of the folders of images: classes, splits, wrappers, masks, unlabelled images."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelfiles import by_kind, noted
from PIL import Image

from wsss.data.checks.inspection import UNREADABLE
from wsss.data.importers.formats import class_folders
from wsss.data.importers.formats.class_folders import NESTED, OUTSIDE, RESPLIT, SAME_FOLDERS
from wsss.data.importers.formats.folder_shape import MASK_FOLDERS, split_of
from wsss.data.importers.formats.mask_folders import KEPT
from wsss.data.importers.gather import UNSHOWN, gather
from wsss.data.importers.importer_registry import NUMBERS, read_labels
from wsss.data.importers.project import plan_project
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.read_context import ReadContext, ReadOptions
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput


def read(*files: str, folder: Path = Path("/nowhere"), rules: Rules | None = None) -> Labels:
    return class_folders.read(folder, files, ReadContext(ReadOptions(rules=rules)))


def places(labels: Labels) -> dict[str, tuple[tuple[str, ...] | None, str | None]]:
    """Return image → labels and split."""
    return {entry.image: (entry.labels, entry.split) for entry in labels.entries}


@pytest.mark.parametrize(
    ("files", "expected", "wrapper"),
    [
        (("images/cat/1", "images/dog/2"), [("cat", None), ("dog", None)], "images"),
        (("pets/cat/1", "pets/dog/2"), [("cat", None), ("dog", None)], "pets"),
        (("photos/cat/1",), [("cat", None)], "photos"),
        (("data/images/train/cat/1", "data/images/val/dog/2"), [("cat", "train"), ("dog", "val")], "data/images"),
        (
            ("train/images/cat/1", "train/images/dog/3", "val/images/dog/2"),
            [("cat", "train"), ("dog", "train"), ("dog", "val")],
            "train/images",
        ),
        (
            ("training_set/training_set/cat/1", "test_set/test_set/dog/2"),
            [("cat", "train"), ("dog", "test")],
            "test_set/test_set",
        ),
    ],
)
def test_folders_around_the_class_folders(
    files: tuple[str, ...], expected: list[tuple[str, str | None]], wrapper: str
) -> None:
    labels = read(*files)
    assert places(labels) == {file: ((name,), split) for file, (name, split) in zip(files, expected, strict=True)}
    assert any(wrapper in messages for messages in by_kind(labels.notes).values())


def test_a_folder_named_like_a_split_beside_class_folders_is_a_class() -> None:
    labels = read("n01440764/1.JPEG", "n01443537/2.JPEG", "train/1.JPEG", "n01443537/3.JPEG")
    assert labels.classes == ("n01440764", "n01443537", "train")
    assert list(by_kind(labels.notes).values()) == [["train"]]
    assert read("train/n014/1.JPEG", "val/n015/1.JPEG").notes == (), "plain folders need no note"


def test_nested_class_folders_have_the_topmost_class() -> None:
    labels = read("animals/cat/1", "animals/dog/2", "things/3", "things/car/old/4")
    assert labels.classes == ("animals", "things")
    assert by_kind(labels.notes) == {NESTED: ["animals/cat", "animals/dog", "things/car"]}


@pytest.mark.parametrize(
    ("word", "rules"), [*((word, None) for word in ("unlabeled", "unlabelled", "Todo")), ("x", Rules(unknown=("x",)))]
)
def test_folders_of_unlabelled_images(word: str, rules: Rules | None) -> None:
    labels = read("train/cat/1", "train/dog/2", f"{word}/1", "val/cat/7", rules=rules)
    assert labels.classes == ("cat", "dog")
    assert places(labels)[f"{word}/1"] == (None, None) and places(labels)["val/cat/7"] == (("cat",), "val")
    labels = read("cat/1", "dog/2", f"{word}/1", rules=rules)
    assert labels.classes == ("cat", "dog") and places(labels)[f"{word}/1"] == (None, None)


def test_images_outside_class_folders() -> None:
    labels = read("train/cat/1", "train/dog/2", "test/3", "4")
    assert by_kind(labels.notes)[OUTSIDE] == ["test/3", "4"]


def test_splits_beside_class_folders_are_refused() -> None:
    with pytest.raises(InvalidInput) as error:
        read("train/cat/1", "val/cat/2", "dog/3")
    assert error.value.subject == "--images: /nowhere" and "train/dog" in (error.value.hint or "")


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("no", "yes"), ("false", "true"), ("False", "True")])
def test_folders_of_no_and_yes(no: str, yes: str) -> None:
    for front in ("", "train/"):
        labels = read(f"{front}{no}/1", f"{front}{yes}/2")
        assert labels.classes == (yes,) and [entry.labels for entry in labels.entries] == [(), (yes,)]
        assert [text for kind, text in labels.notes if "--no-negatives" in kind] == [repr(no)]
    assert read(f"{no}/1", f"{yes}/2", rules=Rules(negative=())).classes == tuple(sorted((no, yes)))


def test_folders_of_numbers_are_classes() -> None:
    labels = read("0/1", "1/2", "2/3")
    assert labels.classes == ("0", "1", "2") and labels.notes == ()


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("OK", "NG"), ("NG",)),
        (("negative", "positive"), ("positive",)),
        (("Normal", "dent", "unlabeled"), ("dent",)),
        (("Background", "cat"), ("cat",)),
        (("_background_", "cat"), ("cat",)),
        (("BACKGROUND_Google", "cat"), ("cat",)),
    ],
)
def test_folders_that_mean_no_class(names: tuple[str, ...], classes: tuple[str, ...]) -> None:
    labels = read(*(f"{name}/1.png" for name in names))
    assert labels.classes == classes and places(labels)[f"{names[0]}/1.png"][0] == ()


MVTEC = ("train/good/0", "train/good/1", "test/good/2", "test/scratch/0", "test/dent/1", "ground_truth/scratch/0_mask")


@pytest.mark.parametrize("front", ["", "bottle/"])
def test_mvtec(front: str) -> None:
    labels = read(*(f"{front}{file}.png" for file in MVTEC))
    assert labels.classes == ("dent", "scratch")
    assert places(labels) == {
        f"{front}{file}.png": (() if "good" in file else (file.split("/")[1],), None) for file in MVTEC[:-1]
    }
    assert labels.left_out == {f"{front}{MVTEC[-1]}.png"}
    assert by_kind(labels.notes)[RESPLIT] == ["train", "test"]
    assert by_kind(labels.notes)[MASK_FOLDERS] == [f"{front}ground_truth"]


def test_mvtec_becomes_a_project_without_its_masks(tmp_path: Path) -> None:
    for number, file in enumerate(MVTEC):
        path = tmp_path / "mvtec" / f"{file}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number * 20, 0, 0)).save(path)
    project = plan_project(gather(tmp_path / "mvtec", None), tmp_path / "out", name="mine")
    assert set(project.report.splits) == {"train", "val"} and not project.report.problems
    assert sum(counts.images for counts in project.report.splits.values()) == len(MVTEC) - 1
    assert "ground_truth" not in project.files["files.csv"]


def test_splits_are_kept_if_train_shows_a_class() -> None:
    labels = read("train/good/1", "train/dent/2", "test/good/3", "test/dent/4")
    assert {entry.split for entry in labels.entries} == {"train", "test"} and RESPLIT not in by_kind(labels.notes)
    labels = read("train/good/1", "test/good/3", "test/dent/4", rules=Rules(negative=()))
    assert {entry.split for entry in labels.entries} == {"train", "test"}


@pytest.mark.parametrize(
    "files",
    [
        ("Data/Images/Normal/1", "Data/Images/Anomaly/2", "Data/Masks/Anomaly/2"),
        ("images/Normal/1", "images/Anomaly/2", "masks/Anomaly/2"),
        ("train/Normal/1", "train/Anomaly/2", "GT/Anomaly/2"),
    ],
)
def test_folders_of_masks(files: tuple[str, ...]) -> None:
    labels = read(*files)
    assert labels.classes == ("Anomaly",) and labels.left_out == {files[-1]}


@pytest.mark.parametrize("front", ["", "train/", "data/"])
@pytest.mark.parametrize(
    "masks",
    [
        *(("masks/9",), ("Labels/9",), ("annotations/cat/9",), ("segmentation/9",), ("Segmentations/9",)),
        *(("mask/1", "mask/2_mask"), ("gt/2",), ("ground_truth/9",), ("cat/masks/1_mask",), ("dog/gt/2",)),
    ],
)
def test_folders_of_masks_beside_class_folders(front: str, masks: tuple[str, ...]) -> None:
    labels = read(f"{front}cat/1", f"{front}dog/2", *(f"{front}{mask}" for mask in masks))
    assert labels.classes == ("cat", "dog") and labels.left_out == {f"{front}{mask}" for mask in masks}
    assert MASK_FOLDERS in by_kind(labels.notes)


def test_folders_named_like_masks_that_are_classes() -> None:
    for file in ("no_mask/1", "no_mask/2"):
        assert read("mask/1", file).classes == ("mask", "no_mask")
    kept = read("GT/1", "sedan/2")
    assert kept.classes == ("GT", "sedan") and by_kind(kept.notes) == {KEPT: ["GT"]}
    assert read("masks/1", "labels/2").classes == ("labels", "masks")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (("1", "2"), None),
        (("images/1", "masks/1"), None),
        (("train/1", "val/2"), ["train", "val"]),
        (("train2017/1", "val2017/2"), ["train2017", "val2017"]),
        (("train/images/1", "train/masks/1"), ["train"]),
        (("bottle/train/good/1", "cable/test/cut/2"), ["bottle", "cable"]),
    ],
)
def test_folders_that_are_not_classes(files: tuple[str, ...], found: list[str] | None) -> None:
    with pytest.raises(InvalidInput) as error:
        read(*files)
    assert (error.value.subject, error.value.found) == ("--images: /nowhere", found) and error.value.hint


words = st.sampled_from(
    ["train", "val", "Test_set", "images", "masks", "ground_truth", "cat", "dog", "good", "unlabeled", "0", "1", "data"]
)


@given(st.sets(st.lists(words, max_size=4).map(lambda names: "/".join([*names, "x"])), min_size=1, max_size=8))
def test_every_image_is_an_entry_a_note_or_left_out(files: set[str]) -> None:
    try:
        labels = read(*sorted(files))
    except InvalidInput as error:
        assert error.hint
        return
    entries = {entry.image for entry in labels.entries}
    outside = set(by_kind(labels.notes).get(OUTSIDE, ()))
    assert entries | outside | labels.left_out == files
    assert not entries & outside and not labels.left_out & (entries | outside)
    for entry in labels.entries:
        assert set(entry.labels or ()) <= set(entry.image.split("/")[:-1])
        assert entry.split in (None, "train", "val", "test")


def test_splits_inside_class_folders() -> None:
    labels = read("cat/train/1", "cat/val/2", "dog/train/3")
    assert list(places(labels).values()) == [(("cat",), "train"), (("cat",), "val"), (("dog",), "train")]
    assert list(by_kind(labels.notes).values()) == [["train", "val"]]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("Training_set", "train"), ("train2017", "train"), ("val-images", "val"), ("valid", "val"),
        ("validation", "val"), ("TEST", "test"), ("test_data", "test"), ("trainer", None), ("value", None),
        ("testing ground", None), ("trains", None), ("training wheels", None), ("cat", None),
    ],
)  # fmt: skip
def test_names_of_splits(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_folders_without_an_image_are_noted(tmp_path: Path) -> None:
    for file in ("cat/1.png", "dog/2.png", "bird/notes.txt", "@eaDir/x.txt", ".git/x"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    labels = read("cat/1.png", "dog/2.png", folder=tmp_path)
    assert list(by_kind(labels.notes).values()) == [["bird", "empty"]]


def test_a_class_of_broken_images_is_reported(tmp_path: Path) -> None:
    for number, file in enumerate(("cat/1.png", "dog/2.png", "bird/3.png")):
        (tmp_path / file).parent.mkdir()
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / file)
    (tmp_path / "bird/3.png").write_bytes(b"no image")
    gathered = gather(tmp_path, None)
    assert gathered.classes == ("cat", "dog")
    assert gathered.notes.messages[UNSHOWN] == {"bird": None}
    assert "bird/3.png" in next(iter(gathered.problems.messages[f"{UNREADABLE}, left out"]))


@pytest.mark.parametrize(
    ("layout", "text", "files"),
    [
        ("PASCAL VOC", "Annotations/1.xml", ("JPEGImages/1.jpg", "SegmentationClass/1.png")),
        ("YOLO", "labels/train/1.txt", ("images/train/1.jpg", "images/val/2.jpg")),
        ("YOLO", "labels/train/1.txt", ("1.jpg",)),
        ("YOLO", "labels/train/1.txt", ("images/1.jpg",)),
        ("YOLO", "train/labels/1.txt", ("train/images/1.jpg", "valid/images/2.jpg")),
    ],
)
def test_datasets_of_other_layouts_are_refused(layout: str, text: str, files: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / text).parent.mkdir(parents=True)
    (tmp_path / text).write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(InvalidInput) as error:
        read(*files, folder=tmp_path)
    assert layout in error.value.problem and error.value.hint


def test_texts_that_are_not_yolos(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text("cat: a small animal\n")
    assert read("train/cat/1.jpg", "train/dog/2.jpg", folder=tmp_path).classes == ("cat", "dog")


@pytest.mark.parametrize("word", ["unknown", "Unclear", "unsure", "todo", "TBD", "void", "ignore", "not_labelled"])
@pytest.mark.parametrize("front", ["", "train/"])
def test_folders_that_mean_unknown(front: str, word: str) -> None:
    files = (f"{front}cat/1", f"{front}dog/2", f"{front}{word}/3")
    labels = read(*files)
    assert labels.classes == ("cat", "dog") and places(labels)[files[2]][0] is None
    assert noted(labels, "--no-negatives") and any(repr(word) in text for _, text in labels.notes)
    assert read(*files, rules=Rules(negative=())).classes == tuple(sorted(("cat", "dog", word)))


@pytest.mark.parametrize("tops", [("fold1", "fold2"), ("images2", "thumbs"), ("a", "b", "c")])
def test_class_folders_with_the_same_subfolders_are_noted(tops: tuple[str, ...]) -> None:
    labels = read(*(f"{top}/{name}/1" for top in tops for name in ("cat", "dog")))
    [message] = by_kind(labels.notes)[SAME_FOLDERS]
    assert all(name in message for name in (*tops, "cat", "dog"))
    for files in (("animals/cat/1", "animals/dog/2", "things/car/3"), ("a/x/1", "b/x/2")):
        assert SAME_FOLDERS not in by_kind(read(*files).notes)


def test_folders_named_by_numbers_are_noted(tmp_path: Path) -> None:
    """They may be years instead of classes, or class ids of which one means no class."""
    files = ["2023/1.jpg", "2024/2.jpg", "2024/3.jpg"]
    labels = read_labels(tmp_path, files, None)
    assert by_kind(labels.notes)[NUMBERS] == ["2023, 2024"]
    assert not noted(read_labels(tmp_path, files, None, ReadOptions(rules=Rules(negative=("2023",)))), "numbers as")
