"""What folders of images are: classes, splits, wrappers, masks, images without labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsss.data.importers.formats import class_folders
from wsss.data.importers.formats.folder_shape import split_of
from wsss.data.importers.gather import gather
from wsss.data.importers.project import plan_project
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput


def read(*files: str, folder: Path = Path("/nowhere"), rules: Rules | None = None) -> Labels:
    return class_folders.read(folder, files, ReadContext(rules))


def shown(labels: Labels) -> dict[str, tuple[tuple[str, ...] | None, str | None]]:
    return {entry.image: (entry.labels, entry.split) for entry in labels.entries}


def notes(labels: Labels) -> dict[str, list[str]]:
    return {kind: [message for k, message in labels.notes if k == kind] for kind, _ in labels.notes}


@pytest.mark.parametrize(
    ("files", "expected", "noted"),
    [
        (("images/cat/1", "images/dog/2"), {"images/cat/1": ("cat", None), "images/dog/2": ("dog", None)}, "images"),
        (("pets/cat/1", "pets/dog/2"), {"pets/cat/1": ("cat", None), "pets/dog/2": ("dog", None)}, "pets"),
        (("photos/cat/1",), {"photos/cat/1": ("cat", None)}, "photos"),
        (
            ("data/images/train/cat/1", "data/images/val/dog/2"),
            {"data/images/train/cat/1": ("cat", "train"), "data/images/val/dog/2": ("dog", "val")},
            "data/images",
        ),
        (
            ("train/images/cat/1", "train/images/dog/3", "val/images/dog/2"),
            {
                "train/images/cat/1": ("cat", "train"),
                "train/images/dog/3": ("dog", "train"),
                "val/images/dog/2": ("dog", "val"),
            },
            "train/images",
        ),
        (
            ("training_set/training_set/cat/1", "test_set/test_set/dog/2"),
            {"training_set/training_set/cat/1": ("cat", "train"), "test_set/test_set/dog/2": ("dog", "test")},
            "test_set/test_set",
        ),
    ],
)
def test_folders_around_the_class_folders(
    files: tuple[str, ...], expected: dict[str, tuple[str, str | None]], noted: str
) -> None:
    labels = read(*files)
    assert shown(labels) == {file: ((name,), split) for file, (name, split) in expected.items()}
    assert noted in notes(labels)["folders around the class folders, no classes themselves"]


def test_a_plain_folder_per_class_needs_no_note() -> None:
    labels = read("n01440764/1.JPEG", "n01443537/2.JPEG", "train/1.JPEG", "n01443537/3.JPEG")
    assert labels.classes == ("n01440764", "n01443537", "train")
    assert list(notes(labels)) == ["folders called like splits, read as classes since class folders lie beside them"]
    assert read("train/n014/1.JPEG", "val/n015/1.JPEG").notes == ()


def test_nested_class_folders_have_the_topmost_class() -> None:
    labels = read("animals/cat/1", "animals/dog/2", "things/3", "things/car/old/4")
    assert labels.classes == ("animals", "things")
    [(kind, found)] = notes(labels).items()
    assert "--images" in kind and found == ["animals/cat", "animals/dog", "things/car"]


@pytest.mark.parametrize("word", ["unlabeled", "unlabelled", "Unlabeled"])
def test_images_without_labels_beside_splits(word: str) -> None:
    labels = read("train/cat/1", "train/dog/2", f"{word}/1", "val/cat/7")
    assert labels.classes == ("cat", "dog")
    assert shown(labels)[f"{word}/1"] == (None, None) and shown(labels)["val/cat/7"] == (("cat",), "val")
    labels = read("cat/1", "dog/2", f"{word}/1")
    assert labels.classes == ("cat", "dog") and shown(labels)[f"{word}/1"] == (None, None)


def test_a_folder_can_be_called_unlabelled() -> None:
    labels = read("train/cat/1", "train/dog/2", "todo/1", rules=Rules(unknown=("todo",)))
    assert labels.classes == ("cat", "dog") and shown(labels)["todo/1"] == (None, None)


def test_images_that_lie_in_no_class_folder() -> None:
    labels = read("train/cat/1", "train/dog/2", "test/3", "4")
    assert notes(labels)["images outside the class folders"] == ["test/3", "4"]


def test_splits_beside_class_folders_are_refused() -> None:
    with pytest.raises(InvalidInput, match="train, val holds class folders, as a split does, and dog lies beside") as e:
        read("train/cat/1", "val/cat/2", "dog/3")
    assert "train/dog" in (e.value.hint or "")


@pytest.mark.parametrize(
    ("folder", "negative"), [("0/1", "0"), ("no/yes", "no"), ("false/true", "false"), ("False/True", "False")]
)
def test_folders_of_no_and_yes(folder: str, negative: str) -> None:
    no, yes = folder.split("/")
    for front in ("", "train/"):
        labels = read(f"{front}{no}/1", f"{front}{yes}/2")
        assert labels.classes == (yes,) and [entry.labels for entry in labels.entries] == [(), (yes,)]
        assert [found for kind, found in notes(labels).items() if "--no-negatives" in kind] == [[repr(negative)]]
    kept = read(f"{no}/1", f"{yes}/2", rules=Rules(negative=()))
    assert kept.classes == tuple(sorted((no, yes)))
    digits = read("0/1", "1/2", "2/3")
    assert digits.classes == ("0", "1", "2") and digits.notes == ()


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
def test_words_that_are_no_classes(names: tuple[str, ...], classes: tuple[str, ...]) -> None:
    labels = read(*(f"{name}/1.png" for name in names))
    assert labels.classes == classes and shown(labels)[f"{names[0]}/1.png"][0] == ()


MVTEC = ("train/good/0", "train/good/1", "test/good/2", "test/scratch/0", "test/dent/1", "ground_truth/scratch/0_mask")


@pytest.mark.parametrize("front", ["", "bottle/"])
def test_mvtec(front: str) -> None:
    labels = read(*(f"{front}{file}.png" for file in MVTEC))
    assert labels.classes == ("dent", "scratch")
    assert shown(labels) == {
        f"{front}{file}.png": (() if "good" in file else (file.split("/")[1],), None) for file in MVTEC[:-1]
    }
    assert labels.left_out == {f"{front}{MVTEC[-1]}.png"}
    assert notes(labels)[class_folders.DEALT_ANEW] == ["train", "test"]
    assert notes(labels)["folders of true masks, not used (rename one that is a class)"] == [f"{front}ground_truth"]


def test_mvtec_becomes_a_project_without_its_masks(tmp_path: Path) -> None:
    for number, file in enumerate(MVTEC):
        path = tmp_path / "mvtec" / f"{file}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number * 20, 0, 0)).save(path)
    project = plan_project(gather(tmp_path / "mvtec", None), tmp_path / "out", name="mine")
    assert set(project.report.splits) == {"train", "val"} and not project.report.problems
    assert sum(counts.images for counts in project.report.splits.values()) == len(MVTEC) - 1
    assert "ground_truth" not in project.files["files.csv"]


def test_splits_are_kept_where_train_shows_a_class() -> None:
    labels = read("train/good/1", "train/dent/2", "test/good/3", "test/dent/4")
    assert {entry.split for entry in labels.entries} == {"train", "test"} and class_folders.DEALT_ANEW not in notes(
        labels
    )
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


def test_a_class_may_be_called_mask() -> None:
    assert read("mask/1", "no_mask/2").classes == ("mask", "no_mask")
    assert read("GT/1", "sedan/2").classes == ("GT", "sedan")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("1", "2"), "has no folders that could be classes"),
        (("images/1", "masks/1"), "has no folders that could be classes"),
        (("train/1", "val/2"), "its folders train, val are splits, and there are no folders of classes"),
        (
            ("train2017/1", "val2017/2"),
            "its folders train2017, val2017 are splits, and there are no folders of classes",
        ),
        (("train/images/1", "train/masks/1"), "its folders train are splits, and there are no folders of classes"),
        (("bottle/train/good/1", "cable/test/cut/2"), r"its folders \(bottle, cable\) hold splits"),
    ],
)
def test_folders_that_are_no_classes(files: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as error:
        read(*files)
    assert error.value.hint


words = st.sampled_from(
    ["train", "val", "Test_set", "images", "masks", "ground_truth", "cat", "dog", "good", "unlabeled", "0", "1", "data"]
)


@given(st.sets(st.lists(words, max_size=4).map(lambda names: "/".join([*names, "x"])), min_size=1, max_size=8))
def test_every_image_is_an_entry_a_note_or_left_out(files: set[str]) -> None:
    try:
        labels = read(*sorted(files))
    except InvalidInput as error:
        assert error.hint or "No class is named" in error.message
        return
    entries = {entry.image for entry in labels.entries}
    outside = set(notes(labels).get("images outside the class folders", ()))
    assert entries | outside | labels.left_out == files
    assert not entries & outside and not labels.left_out & (entries | outside)
    for entry in labels.entries:
        assert set(entry.labels or ()) <= set(entry.image.split("/")[:-1])
        assert entry.split in (None, "train", "val", "test")


def test_splits_inside_class_folders() -> None:
    labels = read("cat/train/1", "cat/val/2", "dog/train/3")
    assert shown(labels) == {
        "cat/train/1": (("cat",), "train"),
        "cat/val/2": (("cat",), "val"),
        "dog/train/3": (("dog",), "train"),
    }
    assert notes(labels) == {"splits inside the class folders": ["train", "val"]}


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


def test_folders_without_an_image_are_named(tmp_path: Path) -> None:
    for file in ("cat/1.png", "dog/2.png", "bird/notes.txt", "@eaDir/x.txt", ".git/x"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    labels = read("cat/1.png", "dog/2.png", folder=tmp_path)
    assert notes(labels) == {"folders without an image that can be read, left out": ["bird", "empty"]}


def test_a_class_of_broken_images_is_named(tmp_path: Path) -> None:
    for number, file in enumerate(("cat/1.png", "dog/2.png", "bird/3.png")):
        (tmp_path / file).parent.mkdir()
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / file)
    (tmp_path / "bird/3.png").write_bytes(b"no image")
    found = gather(tmp_path, None)
    assert found.classes == ("cat", "dog")
    assert found.notes.messages["classes that no image shows, left out"] == {"bird": None}
    assert "bird/3.png" in next(iter(found.problems.messages["unreadable images, left out"]))


def test_datasets_of_other_layouts_are_refused_by_name(tmp_path: Path) -> None:
    for folder in ("Annotations", "JPEGImages", "labels/train"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InvalidInput, match="PASCAL VOC"):
        read("JPEGImages/1.jpg", "SegmentationClass/1.png", folder=tmp_path)
    (tmp_path / "labels" / "train" / "1.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    for files in (("images/train/1.jpg", "images/val/2.jpg"), ("1.jpg",), ("images/1.jpg",)):
        with pytest.raises(InvalidInput, match="YOLO") as error:
            read(*files, folder=tmp_path)
        assert "COCO" in (error.value.hint or "")
    (tmp_path / "labels" / "train" / "1.txt").write_text("cat: a small animal\n")
    assert read("train/cat/1.jpg", "train/dog/2.jpg", folder=tmp_path).classes == ("cat", "dog")


def test_the_layout_of_roboflow(tmp_path: Path) -> None:
    (tmp_path / "train" / "labels").mkdir(parents=True)
    (tmp_path / "train" / "labels" / "1.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(InvalidInput, match="YOLO"):
        read("train/images/1.jpg", "valid/images/2.jpg", folder=tmp_path)


@pytest.mark.parametrize("front", ["", "train/", "data/"])
@pytest.mark.parametrize(
    "masks",
    [
        *(("masks/9",), ("Labels/9",), ("annotations/cat/9",), ("segmentation/9",), ("Segmentations/9",)),
        *(("mask/1", "mask/2_mask"), ("gt/2",), ("ground_truth/9",), ("cat/masks/1_mask",), ("dog/gt/2",)),
    ],
)
def test_folders_of_masks_beside_class_folders(front: str, masks: tuple[str, ...]) -> None:
    labels = read(f"{front}cat/1", f"{front}dog/2", *(f"{front}{one}" for one in masks))
    assert labels.classes == ("cat", "dog") and labels.left_out == {f"{front}{one}" for one in masks}
    assert "folders of true masks, not used (rename one that is a class)" in notes(labels)


def test_folders_called_like_masks_that_are_classes() -> None:
    assert read("mask/1", "no_mask/1").classes == ("mask", "no_mask")
    kept = read("GT/1", "sedan/2")
    assert kept.classes == ("GT", "sedan") and ["GT"] in notes(kept).values()
    assert read("masks/1", "labels/2").classes == ("labels", "masks")


@pytest.mark.parametrize("word", ["unknown", "Unclear", "unsure", "todo", "TBD", "void", "ignore", "not_labelled"])
@pytest.mark.parametrize("front", ["", "train/"])
def test_folders_that_leave_the_class_open(front: str, word: str) -> None:
    labels = read(f"{front}cat/1", f"{front}dog/2", f"{front}{word}/3")
    assert labels.classes == ("cat", "dog") and shown(labels)[f"{front}{word}/3"][0] is None
    assert any("--no-negatives keeps words" in kind and repr(word) in found[0] for kind, found in notes(labels).items())
    kept = read(f"{front}cat/1", f"{front}dog/2", f"{front}{word}/3", rules=Rules(negative=()))
    assert kept.classes == tuple(sorted(("cat", "dog", word)))


@pytest.mark.parametrize("tops", [("fold1", "fold2"), ("images2", "thumbs"), ("a", "b", "c")])
def test_class_folders_that_hold_the_same_folders_are_noted(tops: tuple[str, ...]) -> None:
    labels = read(*(f"{top}/{name}/1" for top in tops for name in ("cat", "dog")))
    assert notes(labels)[class_folders.ALIKE] == [f"{', '.join(tops)}: each holds cat, dog"]
    assert class_folders.ALIKE not in notes(read("animals/cat/1", "animals/dog/2", "things/car/3"))
    assert class_folders.ALIKE not in notes(read("a/x/1", "b/x/2"))
