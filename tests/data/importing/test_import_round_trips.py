"""Labels are unchanged after export to a format, import, and reading by the pipeline."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelfiles import WRITERS, Labels
from shareddata import SHARED_DATA, needs_shared_data

from wsss.data.dataset import Dataset
from wsss.data.importers.gather import gather
from wsss.data.importers.project import plan_project, write_project
from wsss.data.importers.rules.read_context import ReadOptions
from wsss.data.readers.label_tables import read_label_table
from wsss.data.readers.registry import open_dataset
from wsss.io.rasters.rgb_images import write_png
from wsss.pipeline.config.source import read_yaml

PHOTOS = SHARED_DATA / "voc_animals"

GENERATED: Labels = {
    "a b.png": ("dining table", "cat"),
    "Żółw №1.png": ("żółw",),
    "c.v2.png": (),
    "10.png": ("cat",),
    "11.png": ("żółw", "cat"),
    'it\'s, "quoted".png': ("dining table",),
}


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """Six small images, some with awkward names."""
    folder = tmp_path / "my photos"
    for number, file in enumerate(GENERATED):
        write_png(folder / file, np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8))
    return folder


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Dataset]:
    """Return a function that imports labels and opens the dataset of the new pipeline."""

    def run(images: Path, labels: Path | None, *, class_names: Path | None = None) -> Dataset:
        project = plan_project(gather(images, labels, ReadOptions(classes=class_names)), tmp_path / "out dir", name="x")
        assert not project.report.problems
        pipeline = write_project(project, force=True)
        return open_dataset(read_yaml(pipeline).value["data"], work=tmp_path / "work")

    return run


def labels_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Return file name → sorted class names."""
    samples = dataset.samples([name for name in dataset.splits if name != "unlabelled"])
    return {s.image.name: tuple(sorted(dataset.classes.names[i] for i in s.labels or ())) for s in samples}


def expected(labels: Labels) -> dict[str, tuple[str, ...]]:
    return {file: tuple(sorted(names)) for file, names in labels.items()}


def write(kind: str, folder: Path, labels: Labels) -> tuple[Path, Path | None]:
    folder.mkdir(exist_ok=True)
    if kind in ("rows", "long_rows", "wide"):  # these writers do not quote
        labels = {file: names for file, names in labels.items() if '"' not in file}
    return WRITERS[kind](folder / "labels", labels), folder / "names.txt" if kind == "npy" else None


@pytest.mark.parametrize("kind", WRITERS)
def test_generated_images(kind: str, generated: Path, imported: Callable[..., Dataset], tmp_path: Path) -> None:
    labels, names = write(kind, tmp_path / "given", GENERATED)
    dataset = imported(generated, labels, class_names=names)
    labels_expected = expected(GENERATED)
    if kind in ("rows", "long_rows", "wide"):
        del labels_expected['it\'s, "quoted".png']
        assert [s.image.name for s in dataset.split("unlabelled")] == ['it\'s, "quoted".png']
    assert labels_of(dataset) == labels_expected
    assert {s.image.parent for s in dataset.split("train")} == {generated}, "images are not copied"


def test_generated_images_in_class_folders(tmp_path: Path, imported: Callable[..., Dataset]) -> None:
    for number, file in enumerate(("big cats/1.png", "big cats/2.png", "żółw/1.png", "żółw/3.png", "żółw/4.png")):
        write_png(tmp_path / "in" / file, np.full((8, 8, 3), number, np.uint8))
    shutil.copy(tmp_path / "in" / "big cats" / "2.png", tmp_path / "in" / "żółw" / "other name.png")
    dataset = imported(tmp_path / "in", None)
    result = {sample.id: sample for sample in dataset.samples(["train", "val"])}
    names = {id: [dataset.classes.names[i] for i in sample.labels or ()] for id, sample in result.items()}
    assert names == {
        "big cats__1": ["big cats"],
        "big cats__2": ["big cats", "żółw"],  # a copy is in each folder
        "żółw__1": ["żółw"],
        "żółw__3": ["żółw"],
        "żółw__4": ["żółw"],
    }
    assert result["żółw__1"].image == tmp_path / "in" / "żółw" / "1.png"


@needs_shared_data
@pytest.mark.parametrize("kind", WRITERS)
def test_real_photographs(kind: str, imported: Callable[..., Dataset], tmp_path: Path) -> None:
    table = {row.id: tuple(row.labels.split()) for row in read_label_table(PHOTOS / "image_labels.csv")}
    some = {f"{name}.jpg": labels for name, labels in list(table.items())[::9]}
    for file in some:
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / file).symlink_to(PHOTOS / "JPEGImages" / file)
    labels, names = write(kind, tmp_path / "given", some)
    assert labels_of(imported(tmp_path / "photos", labels, class_names=names)) == expected(some)


@needs_shared_data
def test_real_photographs_in_class_folders(imported: Callable[..., Dataset], tmp_path: Path) -> None:
    """An image of several classes is in the folder of each."""
    table = {row.id: tuple(row.labels.split()) for row in read_label_table(PHOTOS / "image_labels.csv")}
    some = {f"{name}.jpg": labels for name, labels in list(table.items())[::9]}
    for file, names in some.items():
        for name in names:
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / name / file).symlink_to(PHOTOS / "JPEGImages" / file)
    assert labels_of(imported(tmp_path / "photos", None)) == expected(some)
