"""The reader of the TopoMortar layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from shareddata import SHARED_DATA, needs_shared_data

from wsss.data.checks.check import check_config
from wsss.data.dataset import Dataset
from wsss.data.readers.registry import recognise
from wsss.data.readers.topomortar import CLASSES, GROUPS, KINDS, MASK_VALUES, read_groups, read_lists
from wsss.data.sample import Sample, require_labels
from wsss.data.sample_mask import load_sample_mask, read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import write_png

Open = Callable[..., Dataset]
ErrorOf = Callable[..., InvalidInput]

IDS = {"train": ["001", "002", "003"], "val": ["051"], "test": ["071", "121", "122", "371"]}
TYPES = {"071": "indistr", "121": "angles", "122": "angles", "371": "shadows"}


def lists(**parts: list[str]) -> str:
    paths = {part: [f"dataset/{part}/images/{name}.png" for name in ids] for part, ids in {**IDS, **parts}.items()}
    return yaml.safe_dump({1: paths})


@pytest.fixture
def walls(tmp_path: Path) -> Path:
    """Eight walls: three to train on, one for validation, four test images of three groups."""
    root = tmp_path / "walls"
    base = root / "dataset"
    for part, ids in IDS.items():
        for name in ids:
            write_png(base / part / "images" / f"{name}.png", np.full((8, 10, 3), int(name) % 256, np.uint8))
            for shift, kind in enumerate(KINDS if part != "test" else KINDS[:1]):
                mask = np.zeros((8, 10), np.uint8)
                mask[2 + shift, :] = 255
                write_png(base / part / kind / f"{name}.png", mask)
    (base / "splits.yaml").write_text(lists())
    (base / "splits_small.yaml").write_text(lists(train=["003", "001"]))
    groups = {name: TYPES.get(name, "indistr") for ids in IDS.values() for name in ids}
    (base / "dataset_types.txt").write_text(
        "ID,group\n" + "".join(f"{name},{group}\n" for name, group in groups.items())
    )
    return root


def ids(dataset: Dataset) -> dict[str, list[str]]:
    return {name: [sample.id for sample in samples] for name, samples in dataset.splits.items()}


def test_all_splits(walls: Path, open_at: Open, error_of: ErrorOf, lines: list[str]) -> None:
    dataset = open_at(walls)
    large, small = IDS["train"], ["003", "001"]
    assert ids(dataset) == {
        **IDS,
        **{f"train-large-{kind}": large for kind in KINDS},
        **{f"train-small-{kind}": small for kind in KINDS},
        **{f"val-{kind}": IDS["val"] for kind in KINDS},
        "test-indistr": ["071"],
        "test-angles": ["121", "122"],
        "test-shadows": ["371"],
    }
    assert dataset.classes.names == ("background", "mortar") and dataset.name == "walls" and not lines
    assert dataset.split("train") == dataset.split("train-large-accurate")
    assert dataset.split("val") == dataset.split("val-accurate")
    assert open_at(walls / "dataset").splits["train"][0].mask == walls / "dataset" / "train" / "accurate" / "001.png"
    assert open_at(walls / "dataset").name == "walls"
    assert list(open_at(walls, splits=["val", "test-angles"]).splits) == ["val", "test-angles"]
    stated = {name: open_at(walls).mask_supervision(name) for name in open_at(walls).splits}
    of_kind = {
        name: f"{kind} masks of the dataset" for name in stated for kind in KINDS[1:] if name.endswith(f"-{kind}")
    }
    assert len(of_kind) == 6 and stated == dict.fromkeys(stated, "ground-truth masks") | of_kind
    error = error_of(walls, splits=["train-large-nosy"])
    assert (error.subject, error.found) == ("data.splits", "train-large-nosy")


def test_the_layout_is_recognised(walls: Path, tmp_path: Path) -> None:
    assert recognise(walls).name == recognise(walls / "dataset").name == "topomortar"
    with pytest.raises(InvalidInput):
        recognise(tmp_path)


def test_255_is_mortar_in_the_datasets_masks(walls: Path, open_at: Open) -> None:
    dataset = open_at(walls)
    for shift, kind in enumerate(KINDS):
        for split in (f"train-large-{kind}", f"train-small-{kind}", f"val-{kind}"):
            for sample in dataset.split(split):
                expected = np.zeros((8, 10), np.uint8)
                expected[2 + shift] = 1
                assert np.array_equal(read_sample_mask(sample, dataset.classes, size=(8, 10)), expected)
    assert read_sample_mask(dataset.split("test")[0], dataset.classes).sum() == 10
    # Masks written by wsss have 255 for uncertain pixels.
    assert dataset.classes.decode(np.array([[0, 1, 255]], np.uint8)).tolist() == [[0, 1, 255]]
    sample = dataset.split("val")[0]
    write_png(sample.mask, np.array([[0, 1]], np.uint8))
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(sample, dataset.classes)
    assert (error.value.found, error.value.allowed) == ([1], "0, 255")
    write_png(sample.mask, np.zeros((8, 11), np.uint8))
    with pytest.raises(InvalidInput) as error:
        read_sample_mask(sample, dataset.classes, size=(8, 10))
    assert (error.value.found, error.value.allowed) == ("11×8", "10×8")


def test_other_mask_values_are_background(walls: Path, open_at: Open, tmp_path: Path) -> None:
    """Public test mask 163 has six pixels of value 8."""
    dataset = open_at(walls)
    samples = {sample.id: sample for sample in dataset.split("test")}
    mask = np.zeros((8, 10), np.uint8)
    mask[2], mask[5, :6], mask[6, 0] = 255, 8, 30
    write_png(samples["121"].mask, mask)
    truth, remarks = load_sample_mask(samples["121"], dataset.classes)
    assert np.array_equal(truth, (mask == 255).astype(np.uint8))
    assert [message for _, message in remarks] == ["121.png (6 pixels of value 8, 1 pixel of value 30)"]
    assert load_sample_mask(samples["122"], dataset.classes)[1] == ()
    report = check_config({"root": walls}, work=tmp_path / "work")
    assert not report.problems
    (note,) = (note for note in report.notes if "read as background" in note.kind)
    assert note.count == 1 and note.examples[0].startswith("121.png")


def test_every_image_is_labelled_mortar(walls: Path, open_at: Open) -> None:
    for split in open_at(walls).splits.values():
        require_labels(split)
        assert {sample.labels for sample in split} == {(1,)}


def test_test_images_have_accurate_masks_only(walls: Path, open_at: Open) -> None:
    for kind in ("noisy", "pseudo"):
        for name in IDS["test"]:
            write_png(walls / "dataset" / "test" / kind / f"{name}.png", np.zeros((8, 10), np.uint8))
    dataset = open_at(walls)
    assert not {name for name in dataset.splits if name.startswith("test") and name.endswith(KINDS)}
    of_test = [sample for name, split in dataset.splits.items() if name.startswith("test") for sample in split]
    assert {sample.mask.parent.name for sample in of_test if sample.mask} == {"accurate"}


def test_missing_images(walls: Path, open_at: Open, lines: list[str]) -> None:
    base = walls / "dataset"
    for name in ("121", "122"):
        (base / "test" / "images" / f"{name}.png").unlink()
    (base / "train" / "images" / "003.png").unlink()
    dataset = open_at(walls)
    assert lines == [f"{base}: missing, so without splits: 1 of the 3 train images, 2 of the 4 test images."]
    splits = ids(dataset)
    assert splits["train"] == ["001", "002"] and splits["train-small-noisy"] == ["001"]
    assert splits["test"] == ["071", "371"] and "test-angles" not in splits


def test_missing_label_kinds_and_lists(walls: Path, open_at: Open, lines: list[str]) -> None:
    base = walls / "dataset"
    for part in ("train", "val"):
        for name in IDS[part]:
            (base / part / "noisy" / f"{name}.png").unlink()
    (base / "train" / "noisy").rmdir()
    (base / "splits_small.yaml").unlink()
    (base / "dataset_types.txt").unlink()
    assert list(open_at(walls).splits) == [
        *("train", "val", "test", "train-large-accurate", "val-accurate", "train-large-pseudo", "val-pseudo")
    ]
    assert lines == [
        f"{base}: missing, so without splits: the noisy masks of train, the noisy masks of val, "
        "dataset_types.txt, splits_small.yaml."
    ]


def test_weak_masks_are_a_fourth_label_kind(walls: Path, open_at: Open) -> None:
    assert not [name for name in open_at(walls).splits if name.endswith("weak")]
    ids = [sample.id for sample in open_at(walls).split("train")]
    for name in ids:
        write_png(walls / "dataset" / "train" / "weak" / f"{name}.png", np.array([[0, 1, 255]], np.uint8))
    dataset = open_at(walls)
    assert [name for name in dataset.splits if name.endswith("weak")] == ["train-large-weak", "train-small-weak"]
    sample = dataset.split("train-large-weak")[0]
    assert read_sample_mask(sample, dataset.classes).tolist() == [[0, 1, 255]]


def test_a_missing_mask(walls: Path, error_of: ErrorOf) -> None:
    (walls / "dataset" / "train" / "pseudo" / "003.png").unlink()
    error = error_of(walls)
    assert error.subject == str(walls / "dataset" / "train" / "pseudo") and error.problem.endswith("images: 003")


def test_masks_of_the_small_training_set_only(walls: Path, open_at: Open, error_of: ErrorOf, lines: list[str]) -> None:
    (walls / "dataset" / "train" / "pseudo" / "002.png").unlink()
    dataset = open_at(walls)
    assert "train-large-pseudo" not in dataset.splits and "train-large-noisy" in dataset.splits
    assert [sample.id for sample in dataset.splits["train-small-pseudo"]] == ["003", "001"]
    assert "the pseudo masks of 1 of the 3 train images (train-large-pseudo)" in "".join(lines)
    (walls / "dataset" / "train" / "pseudo" / "001.png").unlink()
    assert "2 of the 3 train images" in error_of(walls).problem


def test_test_images_need_masks(walls: Path, error_of: ErrorOf) -> None:
    for path in (walls / "dataset" / "test" / "accurate").iterdir():
        path.unlink()
    assert "4 of the 4 test images" in error_of(walls).problem


def test_missing_datasets(walls: Path, error_of: ErrorOf, tmp_path: Path) -> None:
    for part in IDS:
        for path in (walls / "dataset" / part / "images").iterdir():
            path.unlink()
    assert error_of(walls).subject == str(walls / "dataset")
    assert str(error_of(tmp_path / "nowhere", layout="topomortar").subject).startswith("data.root")
    assert error_of(tmp_path, layout="topomortar").subject == str(tmp_path / "splits.yaml")


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("1: {train: [../../secret/images/001.png]}", ": train[0]", "../../secret/images/001.png"),
        ("1: {train: [dataset/train/images/../../001.png]}", ": train[0]", "dataset/train/images/../../001.png"),
        ("1: {train: [/dataset/train/images/001.png]}", ": train[0]", "/dataset/train/images/001.png"),
        ("1: {train: [dataset/test/images/071.png]}", ": train[0]", "dataset/test/images/071.png"),
        ("1: {train: [7]}", ": train[0]", 7),
        ("1: {train: 7}", ": train", 7),
        ("1: {holdout: []}", "", "holdout"),
    ],
)
def test_invalid_lists(walls: Path, error_of: ErrorOf, text: str, place: str, found: object) -> None:
    path = walls / "dataset" / "splits.yaml"
    path.write_text(text)
    error = error_of(walls)
    assert (error.subject, error.found) == (f"{path}{place}", found)


@pytest.mark.parametrize(
    ("text", "place", "named"),
    [
        (lists(val=["051", "002"]), ": val[1]", "'002'"),
        (lists(train=["001", "001"]), ": train[1]", "'001'"),
        ("1: {train: [dataset/train/images/..png]}", ": train[0]", "'.'"),
        ("1: {train: [", "", "YAML"),
        ("!!python/object/apply:os.getcwd []", "", "YAML"),
    ],
)
def test_ambiguous_and_unreadable_lists(walls: Path, error_of: ErrorOf, text: str, place: str, named: str) -> None:
    path = walls / "dataset" / "splits.yaml"
    path.write_text(text)
    error = error_of(walls)
    assert error.subject == f"{path}{place}" and named in error.problem


@pytest.mark.parametrize("text", ["1: {train: []}\n2: {train: []}", "[]"])
def test_lists_need_one_fold(walls: Path, error_of: ErrorOf, text: str) -> None:
    (walls / "dataset" / "splits.yaml").write_text(text)
    error = error_of(walls)
    assert error.subject == str(walls / "dataset" / "splits.yaml") and "one fold" in str(error.allowed)


def test_contradictory_lists(walls: Path, error_of: ErrorOf) -> None:
    (walls / "dataset" / "splits_small.yaml").write_text(lists(train=["001", "071"], test=["121"]))
    assert "'071'" in error_of(walls).problem


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("ID,group\n071,indoors\n", ":2", "indoors"),
        ("ID,group\n071,indistr\n071,colors\n", ":3", None),
        ("071,indistr\n", "", "071,indistr"),
        ("", "", ""),
        ("ID,group\n071,indistr\n", "", None),
    ],
)
def test_invalid_groups(walls: Path, error_of: ErrorOf, text: str, line: str, found: object) -> None:
    path = walls / "dataset" / "dataset_types.txt"
    path.write_text(text)
    error = error_of(walls)
    assert (error.subject, error.found) == (f"{path}{line}", found)


def test_check_reads_every_label_kind(walls: Path, tmp_path: Path) -> None:
    report = check_config({"root": walls}, work=tmp_path / "work")
    assert not report.problems
    assert report.splits["train-large-noisy"].class_pixels == {"background": 0.875, "mortar": 0.125, "ignore": 0.0}
    assert not [note for note in report.notes if "images in both" in note.kind]
    write_png(walls / "dataset" / "train" / "noisy" / "002.png", np.zeros((9, 10), np.uint8))
    write_png(walls / "dataset" / "train" / "pseudo" / "003.png", np.full((8, 10), 7, np.uint8))
    steps: list[int] = []

    def start(total: int) -> Callable[[int], None]:
        steps.append(total)
        return lambda done: None

    report = check_config({"root": walls}, work=tmp_path / "work", start=start)
    assert [problem.kind for problem in report.problems] == [
        "masks that differ in size from their image",
        "labels without a pixel in the mask",
        "invalid masks",
    ]
    assert steps == [3 * 3 + 3 * 1 + 4]  # every mask once


@needs_shared_data
def test_the_real_dataset(open_at: Open, lines: list[str]) -> None:
    root = SHARED_DATA / "topomortar"
    dataset = open_at(root)
    counts = {name: len(split) for name, split in dataset.splits.items()}
    assert lines == []
    assert counts["test"] == sum(counts[f"test-{group}"] for group in GROUPS) == 66
    assert counts == {
        "train": 50,
        "val": 20,
        **{f"train-large-{kind}": 50 for kind in KINDS},
        **{f"train-small-{kind}": 10 for kind in KINDS},
        **{f"val-{kind}": 20 for kind in KINDS},
        "test": 66,
        **{f"test-{group}": counts[f"test-{group}"] for group in GROUPS},
    }
    base = root / "dataset"
    assert set(read_lists(base / "splits_small.yaml")["train"]) < set(read_lists(base / "splits.yaml")["train"])
    assert len(read_groups(base / "dataset_types.txt")) == 420
    sample = dataset.split("test-angles")[0]
    assert np.array_equal(read_sample_mask(sample, dataset.classes) == 1, read_mask(sample.mask) == 255)


@needs_shared_data
@pytest.mark.slow
def test_a_check_of_the_real_dataset(tmp_path: Path) -> None:
    root = SHARED_DATA / "topomortar"
    report = check_config({"root": root}, work=tmp_path / "work")
    assert not report.problems and report.sizes == ((512, 512), (512, 512))
    masks = [read_mask(path) for path in sorted((root / "dataset" / "train" / "accurate").glob("*.png"))]
    expected = np.mean([mask == 255 for mask in masks])
    assert report.splits["train"].class_pixels["mortar"] == pytest.approx(expected, abs=1e-4)


@needs_shared_data
def test_the_mask_with_unknown_values_has_the_published_topology() -> None:
    """The six pixels of value 8 are not mortar: they would add a component to the published number."""
    from wsss.topology import betti_numbers

    shared = SHARED_DATA
    path = shared / "cases" / "topomortar_value_8" / "163.png"
    if not path.is_file():
        pytest.skip("mask 163 is missing")
    rows = (shared / "topomortar" / "dataset" / "betti_numbers.csv").read_text().splitlines()
    published = next(row.split(",")[1:3] for row in rows if row.startswith("163,"))
    mask, _ = load_sample_mask(Sample("163", path, (1,), path, MASK_VALUES), CLASSES)
    numbers = betti_numbers(mask == 1, connectivity=8)
    assert [str(numbers.b0), str(numbers.b1)] == published == ["2", "31"]
    assert betti_numbers(read_mask(path) > 0, connectivity=8).b0 == 3
