"""The reader of plain folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.checks.check import check_dataset
from wsss.data.dataset import Dataset
from wsss.data.readers.folder_splits import UNLISTED, UNUSED_COLUMN, hash_split
from wsss.data.readers.registry import open_dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png

Open = Callable[..., Dataset]


ErrorOf = Callable[..., InvalidInput]


def ids(dataset: Dataset, split: str) -> list[str]:
    return [sample.id for sample in dataset.split(split)]


def test_images_and_a_label_table_are_sufficient(folder: Path, open_at: Open, lines: list[str]) -> None:
    dataset = open_at(folder)
    assert dataset.classes.names == ("background", "moon", "sun")
    train, val = ids(dataset, "train"), ids(dataset, "val")
    assert sorted(train + val) == [f"i{number}" for number in range(10)] and val
    assert f"train {len(train)}, val {len(val)}" in lines[-1]
    labels = {sample.id: sample.labels for split in dataset.splits.values() for sample in split}
    assert labels["i0"] == (1, 2) and labels["i2"] == (2,) and labels["i3"] == (1,) and labels["i1"] == ()
    assert list(open_at(folder, val_fraction=0).splits) == ["train"]


@pytest.mark.parametrize("separator", [" ", ";", "|", " ; "])
def test_separators_and_names_with_suffix(folder: Path, open_at: Open, separator: str) -> None:
    (folder / "classes.txt").write_text("sun\nmoon\nmilky way\n")
    (folder / "labels.csv").write_text(
        f"split, image_id ,labels,comment\ntrain,i0.png,sun{separator}moon,x\ntest,i1,milky way,y\n"
    )
    dataset = open_at(folder)
    assert dataset.split("train")[0].labels == (1, 2)
    assert dataset.split("test")[0].labels == (3,)
    assert set(dataset.splits) == {"train", "test", "unlabelled"}
    assert len(dataset.split("unlabelled")) == 8 and dataset.split("unlabelled")[0].labels is None


def test_empty_cells_at_the_end_of_a_row_are_ignored(folder: Path, open_at: Open) -> None:
    (folder / "labels.csv").write_text("image_id,labels\ni0,sun,,\ni1,moon, \n")
    labels = {sample.id: sample.labels for split in open_at(folder).splits.values() for sample in split}
    assert (labels["i0"], labels["i1"]) == ((2,), (1,))


def test_lists_take_precedence_over_the_column_split(folder: Path, open_at: Open) -> None:
    (folder / "labels.csv").write_text("image_id,labels,split\ni0,sun,train\ni1,moon,val\n")
    (folder / "splits").mkdir()
    (folder / "splits" / "test.txt").write_text("i5.png\ni1\n")
    dataset = open_at(folder)
    assert list(dataset.splits) == ["test"] and ids(dataset, "test") == ["i5", "i1"]
    assert [sample.labels for sample in dataset.split("test")] == [None, (1,)]


def test_images_and_labels_in_no_list_are_noted(folder: Path, open_at: Open, lines: list[str]) -> None:
    (folder / "splits").mkdir()
    (folder / "splits" / "train.txt").write_text("".join(f"i{number}\n" for number in range(7)))
    (folder / "splits" / "val.txt").write_text("i7\n")
    dataset = open_at(folder, splits=["train"])
    text = f"{folder / 'splits'}: 2 images (2 with a row in labels.csv) in no list, not used: i8, i9"
    assert [message for _, message in dataset.remarks] == [text]
    assert lines == [f"note: {text}"]
    assert [finding.examples for finding in check_dataset(dataset).notes if finding.kind == UNLISTED] == [(text,)]
    (folder / "splits" / "val.txt").write_text("i7\ni8\ni9\n")
    assert open_at(folder).remarks == ()


def test_hidden_lists_are_not_splits(folder: Path, open_at: Open) -> None:
    (folder / "splits").mkdir()
    (folder / "splits" / "train.txt").write_text("".join(f"i{number}\n" for number in range(10)))
    (folder / "splits" / "._train.txt").write_bytes(b"\0\5\x16\7Mac OS X        \xb0")
    assert list(open_at(folder).splits) == ["train"]


def test_an_unused_column_of_splits_is_noted(folder: Path, open_at: Open) -> None:
    (folder / "labels.csv").write_text("image_id,labels,split\ni0,sun,train\ni1,moon,val\n")
    assert open_at(folder).remarks == ()
    (folder / "splits").mkdir()
    (folder / "splits" / "train.txt").write_text("".join(f"i{number}\n" for number in range(10)))
    (remark,) = open_at(folder).remarks
    assert remark == (
        UNUSED_COLUMN,
        f"{folder / 'labels.csv'}: the column split is not used; splits/*.txt define the splits",
    )


def test_masks_and_class_ids(folder: Path, open_at: Open, error_of: ErrorOf) -> None:
    write_mask(folder / "masks" / "i0.png", np.array([[0, 7, 9, 255]], np.uint8))
    assert "mask_values" in str(error_of(folder).hint)
    (folder / "classes.txt").write_text("9 sun\n7 moon\n")
    dataset = open_at(folder, val_fraction=0)
    sample = dataset.split("train")[0]
    assert sample.mask == folder / "masks" / "i0.png"
    assert read_sample_mask(sample, dataset.classes).tolist() == [[0, 2, 1, 255]]
    assert dataset.split("train")[1].mask is None
    mapped = open_at(folder, classes={"light": [7, 9]}, val_fraction=0)
    assert read_sample_mask(mapped.split("train")[0], mapped.classes).tolist() == [[0, 1, 1, 255]]
    assert mapped.split("train")[0].labels == (1,)


def test_configured_file_names(folder: Path, open_at: Open) -> None:
    (folder / "images").rename(folder / "photos")
    (folder / "labels.csv").rename(folder / "tags.csv")
    dataset = open_at(folder, layout="folder", images="photos", labels="tags.csv")
    assert sum(map(len, dataset.splits.values())) == 10


def test_a_named_label_table_must_exist(folder: Path, open_at: Open, error_of: ErrorOf, tmp_path: Path) -> None:
    (folder / "classes.txt").write_text("sun\nmoon\n")
    error = error_of(folder, layout="folder", labels="lables.csv")
    assert (error.subject, error.found, error.allowed) == ("data.labels", "lables.csv", ("labels.csv",))
    (folder / "labels.csv").unlink()
    assert error_of(folder, layout="folder", labels="labels.csv").subject == "data.labels"
    assert all(sample.labels is None for sample in open_at(folder).split("train"))
    config = {"root": str(folder), "layout": "folder", "labels": "labels.csv"}
    assert len(open_dataset(config, work=tmp_path, complete=False).splits) == 2


def test_images_without_labels(folder: Path, open_at: Open, error_of: ErrorOf) -> None:
    (folder / "labels.csv").unlink()
    assert "class" in error_of(folder, layout="folder").problem
    dataset = open_at(folder, layout="folder", classes=["sun", "moon"])
    assert all(sample.labels is None for sample in dataset.split("train"))


@pytest.mark.parametrize(
    ("file", "content", "subject"),
    [
        ("labels.csv", "image_id,labels\ni0,sun\nabsent,sun\n", "labels.csv:3"),
        ("labels.csv", "image_id,labels\ni0,sun\ni0.png,sun\n", "labels.csv:3"),
        ("labels.csv", "image_id,labels\n../i0,sun\n", "labels.csv:2"),
        ("labels.csv", "image_id,labels,split\ni0,sun,train\ni1,sun,\n", "labels.csv:3"),
        ("labels.csv", 'image_id,labels\n"i0,sun\n', "labels.csv:2"),
        ("labels.csv", "image_id,labels\ni0,sun\ni1,sun,moon\n", "labels.csv:3"),
        ("labels.csv", "image_id,labels,split\ni0,sun,moon,train\n", "labels.csv:2"),
        ("labels.csv", "image_id,labels,labels\ni0,sun,moon\n", "labels.csv:1"),
        ("splits/train.txt", "i0\ni99\n", "train.txt:2"),
        ("splits/train.txt", "i0\ni1\ni0.png\n", "train.txt:3"),
        ("splits/train.txt", "", "train.txt"),
        ("classes.txt", "sun\nmoom\n", "labels.csv:2"),
    ],
)
def test_errors_name_file_and_line(folder: Path, error_of: ErrorOf, file: str, content: str, subject: str) -> None:
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(content)
    assert str(error_of(folder).subject).endswith(subject)


def test_a_selection_of_the_classes_in_a_table(
    folder: Path, open_at: Open, error_of: ErrorOf, lines: list[str]
) -> None:
    (folder / "labels.csv").write_text("image_id,labels\ni0,sun moon\ni1,moon\ni2,star\ni3,\n")

    def labels(**config: object) -> tuple[tuple[str, ...], list[tuple[int, ...] | None]]:
        dataset = open_at(folder, val_fraction=0, **config)
        return dataset.classes.foreground, [sample.labels for sample in dataset.split("train")]

    assert labels(classes=["sun"]) == (("sun",), [(1,), (), (), ()])
    assert f"note: {folder / 'labels.csv'}: labels that data.classes leaves out: moon, star" in lines
    assert labels(classes={"night": ["moon", "star"]}) == (("night",), [(1,), (1,), (1,), ()])
    assert f"note: {folder / 'labels.csv'}: labels that data.classes leaves out: sun" in lines
    assert error_of(folder, classes={"star": 1}).found == "sun"  # a value in masks, not the number of a name
    assert error_of(folder, classes={"night": ["mon"]}).found == "mon"
    write_mask(folder / "masks" / "i0.png", np.array([[0, 1]], np.uint8))
    assert error_of(folder, classes=["sun"]).found == "moon"


def test_words_that_data_classes_leaves_out_are_no_values_in_masks(folder: Path, open_at: Open) -> None:
    words = "".join(f"i{n % 10}n{n},w{n:03}\n" for n in range(300))
    for name in words.split():
        write_png(folder / "images" / f"{name.partition(',')[0]}.png", np.zeros((4, 4, 3), np.uint8))
    (folder / "labels.csv").write_text(f"image_id,labels\n{words}")
    classes = open_at(folder, classes=["w000"]).classes
    assert (classes.values, classes.other) == (((0,), (1,)), frozenset())
    with pytest.raises(InvalidInput):
        classes.encode(np.array([[0, 1, 2]], np.uint8), where="mask")
    merged = open_at(folder, classes={"last": ["w298", "w299"]}).classes
    assert (merged.values, merged.other) == (((0,), (1, 2)), frozenset())
    named = open_at(folder, classes=["w001"], mask_values={9: "w001", 8: "w002", 0: "background"}).classes
    assert (named.values, named.other) == (((0,), (1,)), frozenset({2}))


def test_names_with_a_space_in_data_classes(folder: Path, open_at: Open, lines: list[str]) -> None:
    (folder / "labels.csv").write_text("image_id,labels\ni0,dining table\ni1,cat\ni2,?dining table\n")
    for classes in (["dining table", "cat"], {"furniture": ["dining table"], "pet": ["cat"]}):
        dataset = open_at(folder, classes=classes, val_fraction=0)
        samples = {sample.id: sample for sample in dataset.split("train")}
        assert [samples[name].labels for name in ("i0", "i1", "i2")] == [(1,), (2,), ()]
        assert samples["i2"].unknown == (1,)
    assert not [line for line in lines if "leaves out" in line]


def test_names_in_mask_values_are_not_labels_that_are_left_out(folder: Path, open_at: Open, lines: list[str]) -> None:
    (folder / "labels.csv").unlink()
    config = {"layout": "folder", "mask_values": {1: "cat", 2: "dog"}, "classes": ["cat"]}
    assert open_at(folder, **config).classes.foreground == ("cat",)
    assert not [line for line in lines if "leaves out" in line]


def test_names_with_a_space_that_are_read_as_two_classes_are_noted(
    folder: Path, open_at: Open, lines: list[str]
) -> None:
    (folder / "labels.csv").write_text(
        "image_id,labels\ni0,dining table\ni1,cat dining table\ni2,cat dog\ni3,dog cat\ni4,no finding\ni5,no finding\n"
    )
    assert len(open_at(folder).classes) == 5
    (note,) = [line for line in lines if "never occur apart" in line]
    assert ": dining table. If" in note
    (folder / "labels.csv").write_text(
        "image_id,labels\ni0,fire truck\ni1,?fire truck\ni2,?red ?car\ni3,?red ?car\ni4,? cat\ni5,? cat\n"
    )
    lines.clear()
    open_at(folder)
    assert [line.partition("apart: ")[2].partition(".")[0] for line in lines if "never" in line] == ["fire truck"]
    (folder / "classes.txt").write_text("cat\ndining table\ndog\n")
    (folder / "labels.csv").write_text("image_id,labels\ni0,dining table\ni1,cat;dining table\ni2,cat dog\n")
    lines.clear()
    assert len(open_at(folder).classes) == 4 and not any("never occur apart" in line for line in lines)


def test_unknown_classes_suggest_the_closest(folder: Path, error_of: ErrorOf) -> None:
    (folder / "classes.txt").write_text("sun\nmoom\n")
    error = error_of(folder)
    assert (error.found, error.allowed) == ("moon", ("sun", "moom"))


def test_ambiguous_ids(folder: Path, error_of: ErrorOf) -> None:
    (folder / "images" / "i3.jpg").write_bytes(b"x")
    assert error_of(folder).found == ["i3.jpg", "i3.png"]


def test_other_files_are_ignored(folder: Path, open_at: Open) -> None:
    (folder / "images" / ".DS_Store").write_bytes(b"x")
    (folder / "images" / "._i1.png").write_bytes(b"x")
    (folder / "images" / "notes.txt").write_text("x")
    write_png(folder / "images" / "scan.v2.PNG", np.zeros((4, 4, 3), np.uint8))
    dataset = open_at(folder)
    assert ids(dataset, "unlabelled") == ["scan.v2"]


def test_images_in_subfolders_are_noted(folder: Path, open_at: Open, lines: list[str]) -> None:
    hidden = ("more/.thumbs/e.png", "more/@eaDir/f.png", "more/._a.png", ".cache/c.png", "__MACOSX/d.png")
    for name in ("more/a.png", "more/deep/b.JPG", "more/notes.txt", *hidden):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    dataset = open_at(folder)
    assert sum(map(len, dataset.splits.values())) == 10
    assert [line for line in lines if "subfolders" in line and line.startswith(f"{folder / 'images'}: 2 images")]


def test_masks_below_the_images_are_not_noted_as_images(folder: Path, open_at: Open, lines: list[str]) -> None:
    for path in (folder / "images").iterdir():
        path.rename(folder / path.name)
    (folder / "images").rmdir()
    (folder / "classes.txt").write_text("moon\nsun\n")
    write_mask(folder / "masks" / "i0.png", np.zeros((12, 16), np.uint8))
    open_at(folder, layout="folder", images=".")
    assert not [line for line in lines if "subfolders" in line]
    write_png(folder / "more" / "masks" / "a.png", np.zeros((4, 4, 3), np.uint8))
    open_at(folder, layout="folder", images=".")
    assert [line for line in lines if line.startswith(f"{folder}: 1 image in subfolders not read")]


def test_missing_images_and_folders(folder: Path, error_of: ErrorOf, tmp_path: Path) -> None:
    for path in (folder / "images").iterdir():
        path.unlink()
    assert error_of(folder).subject == str(folder / "images")
    assert error_of(tmp_path / "absent").subject == f"data.root: {tmp_path / 'absent'}"


def test_a_single_image_of_a_single_class(tmp_path: Path, open_at: Open) -> None:
    write_png(tmp_path / "one" / "images" / "a.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "one" / "labels.csv").write_text("image_id,labels\na,sun\n")
    dataset = open_at(tmp_path / "one")
    assert list(dataset.splits) == ["train"] and dataset.classes.names == ("background", "sun")


@given(st.lists(st.text("abc123", min_size=1), min_size=1, max_size=60, unique=True), st.floats(0, 0.9))
def test_hash_split_is_a_partition_independent_of_order(names: list[str], fraction: float) -> None:
    train, val = hash_split(names, fraction)
    assert sorted(train + val) == sorted(names)
    assert train and bool(val) == (fraction > 0 and len(names) > 1)
    assert hash_split(names[::-1], fraction) == (train[::-1], val[::-1])


def test_hash_split_is_stable_when_images_are_added() -> None:
    few, many = [f"i{n}" for n in range(200)], [f"i{n}" for n in range(2000)]
    before, after = set(hash_split(few, 0.2)[1]), set(hash_split(many, 0.2)[1])
    assert before == after & set(few)
    assert 340 < len(after) < 460


def test_table_of_image_files(folder: Path, open_at: Open) -> None:
    (folder / "images" / "żółty dir").mkdir()
    for number in range(4):
        (folder / "images" / f"i{number}.png").rename(folder / "images" / "żółty dir" / f"photo {number}.png")
    rows = "".join(f"i{number},żółty dir/photo {number}.png\n" for number in range(4))
    (folder / "files.csv").write_text(f"image_id,file\n{rows}", encoding="utf-8")
    (folder / "labels.csv").write_text("image_id,labels\n" + "".join(f"i{number},sun\n" for number in range(3)))
    dataset = open_at(folder, files="files.csv", val_fraction=0)
    images = {sample.id: sample.image.relative_to(folder / "images").as_posix() for sample in dataset.split("train")}
    assert images == {f"i{number}": f"żółty dir/photo {number}.png" for number in range(3)}
    assert ids(dataset, "unlabelled") == ["i3"]


@pytest.mark.parametrize(
    ("rows", "line", "found"),
    [
        ("id,file\n", 1, "id,file"),
        ("", 1, ""),
        ("image_id,file\na,i0.png,x\n", 2, 3),
        ("image_id,file\na,i0.png\na,i1.png\n", 3, None),
        ("image_id,file\na/b,i0.png\n", 2, None),
        ("image_id,file\na,../labels.png\n", 2, "../labels.png"),
        ("image_id,file\na,/etc/x.png\n", 2, "/etc/x.png"),
        ("image_id,file\na,notes.txt\n", 2, "notes.txt"),
        ("image_id,file\na,absent.png\n", 2, None),
    ],
)
def test_errors_in_the_table_of_files(folder: Path, error_of: ErrorOf, rows: str, line: int, found: object) -> None:
    (folder / "files.csv").write_text(rows)
    error = error_of(folder, files="files.csv")
    assert (error.subject, error.found) == (f"{folder / 'files.csv'}:{line}", found)


def test_an_empty_table_of_files(folder: Path, error_of: ErrorOf) -> None:
    (folder / "files.csv").write_text("image_id,file\n")
    assert error_of(folder, files="files.csv").subject == str(folder / "images")


@pytest.mark.parametrize("missing", ["one", "folder", "table"])
def test_incomplete_datasets_list_missing_images(folder: Path, tmp_path: Path, open_at: Open, missing: str) -> None:
    config: dict[str, str] = {}
    if missing == "table":
        config["files"] = "files.csv"
        (folder / "files.csv").write_text("image_id,file\n" + "".join(f"i{n},i{n}.png\n" for n in range(10)))
    if missing == "folder":
        (folder / "images").rename(folder / "elsewhere")
    else:
        (folder / "images" / "i3.png").unlink()
    config |= {"root": str(folder), "layout": "folder"}
    with pytest.raises(InvalidInput) as error:
        open_dataset(config, work=tmp_path)
    assert missing != "folder" or "--data.images DIR" in str(error.value.hint)
    dataset = open_dataset(config, work=tmp_path, complete=False)
    assert dataset.missing == ({f"i{n}" for n in range(10)} if missing == "folder" else {"i3"})
    samples = {sample.id: sample for split in dataset.splits.values() for sample in split}
    assert len(samples) == 10 and samples["i3"].labels == (1,)
    assert all(sample.image.is_file() is (name not in dataset.missing) for name, sample in samples.items())
    before = {split: dataset.fingerprint(split, "images") for split in dataset.splits}
    assert open_dataset(config, work=tmp_path, complete=False).fingerprint("train", "images") == before["train"]


@pytest.mark.parametrize("layout", ["folder", "voc"])
def test_unsupported_image_formats(
    layout: str, tmp_path: Path, open_at: Open, error_of: ErrorOf, lines: list[str]
) -> None:
    images = tmp_path / "d" / ("images" if layout == "folder" else "JPEGImages")
    for name in ("a.png", "b.png"):
        write_png(images / name, np.zeros((8, 8, 3), np.uint8))
    for name in ("c.dng", "d.svg"):
        (images / name).write_bytes(b"x")
    lists = tmp_path / "d" / ("splits" if layout == "folder" else "ImageSets/Segmentation")
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (tmp_path / "d" / "classes.txt").write_text("cat\n")
    open_at(tmp_path / "d", layout=layout)
    assert any("2 image files in unsupported formats skipped: c.dng, d.svg" in line for line in lines)
    (lists / "train.txt").write_text("a\nc\n")
    error = error_of(tmp_path / "d", layout=layout)
    assert str(error.subject).endswith("train.txt:2") and ".dng is a raw camera image" in error.problem
