"""Splits of new projects: those of the labels, of folders, and of copies of an image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from planned import draw, kinds, plan, table

from wsss.data.importers.formats.class_folders import OUTSIDE
from wsss.errors import InvalidInput


def test_copies_of_an_image_stay_together(images: Path, tmp_path: Path) -> None:
    for number in range(5):
        (images / f"copy{number}.png").write_bytes((images / "i0.png").read_bytes())
    rows = [f"{path.name},{'sun' if path.name.startswith('copy') else 'moon'}" for path in sorted(images.iterdir())]
    rows[-1] = rows[-1].replace("moon", "sun")
    for seed in range(4):
        report = plan(images, table(tmp_path, *rows), tmp_path, seed=seed).report
        assert not report.problems, "no leak"


def test_splits_of_the_labels(images: Path, tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(
        json.dumps(
            [{"image": f"i{n}", "label": "sun" if n else "ok", "split": ["train", "test"][n % 2]} for n in range(8)]
        )
    )
    project = plan(images, tmp_path / "l.json", tmp_path)
    assert {name: c.images for name, c in project.report.splits.items()} == {"train": 4, "test": 4, "unlabelled": 4}
    assert project.files["splits/test.txt"].split() == ["i1", "i3", "i5", "i7"]
    (tmp_path / "l.json").write_text(
        json.dumps([{"image": "i0", "label": "a", "split": "train"}, {"image": "i1", "label": "a"}])
    )
    with pytest.raises(InvalidInput) as error:
        plan(images, tmp_path / "l.json", tmp_path)
    assert "i1.png" in error.value.problem and error.value.allowed == ("train",)
    (tmp_path / "l.json").write_text(json.dumps([{"image": "i0", "label": "a", "split": "test"}]))
    with pytest.raises(InvalidInput) as error:
        plan(images, tmp_path / "l.json", tmp_path)
    assert error.value.found == ["test"]


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", ".x", "x" * 300])
def test_invalid_names_of_splits(name: str, images: Path, tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(json.dumps([{"image": "i0", "label": "a", "split": name}]))
    (tmp_path / "l.csv").write_text(f"image,label,split\ni0,a,train\ni1,a,{name}\n")
    for file, where in (("l.json", ": [0]"), ("l.csv", ":3")):
        with pytest.raises(InvalidInput) as error:
            plan(images, tmp_path / file, tmp_path)
        assert (error.value.subject, error.value.found) == (f"{tmp_path / file}{where}", name) and error.value.hint


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_names_of_splits(suffix: str, images: Path, tmp_path: Path) -> None:
    splits = ("train", "Training", "valid", "validation", "VAL", "Val", "testing", "TEST", "extra")
    file = tmp_path / f"l.{suffix}"
    if suffix == "csv":
        rows = [f"i{n},sun,{split}" for n, split in enumerate(splits)]
        file.write_text("\n".join(["image,label,split", *rows, "i3,moon,val"]) + "\n")
    else:
        records = [{"image": f"i{n}", "label": "sun", "split": split} for n, split in enumerate(splits)]
        file.write_text(json.dumps([*records, {"image": "i3", "label": "moon", "split": "val"}]))
    project = plan(images, file, tmp_path)
    counts = {name: c.images for name, c in project.report.splits.items()}
    assert counts == {"train": 2, "val": 4, "test": 2, "extra": 1, "unlabelled": 3}
    assert kinds(project.report.notes)["splits with other names"] == (
        *("Training → train", "valid → val", "validation → val", "VAL → val", "Val → val"),
        *("testing → test", "TEST → test"),
    )


def test_folders_that_are_splits(tmp_path: Path) -> None:
    for number, file in enumerate(
        ("train/sun/1.png", "train/moon/2.png", "Valid/sun/1.png", "Valid/moon/x/2.png", "train/3.png")
    ):
        draw(tmp_path / "photos" / file, number)
    project = plan(tmp_path / "photos", None, tmp_path)
    assert {name: c.images for name, c in project.report.splits.items()} == {"train": 2, "val": 2, "unlabelled": 1}
    assert kinds(project.report.notes)[OUTSIDE] == ("train/3.png",)
    assert project.report.classes == ("moon", "sun")
