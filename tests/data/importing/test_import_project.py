"""Matching of images and labels, and the files of a new pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planned import draw, kinds, plan, table

from wsss.data.checks.inspection import UNREADABLE
from wsss.data.importers.gather import (
    AMBIGUOUS,
    JOINED,
    LESS_EXACT,
    NOT_READ,
    RIVALS,
    UNPREFIXED,
    UNSHOWN,
    WITHOUT_IMAGE,
    gather,
)
from wsss.data.importers.listing import UNREAD
from wsss.data.importers.name_notes import COMBINED_CLASSES, SEPARATE, SIMILAR_CLASSES, SIMILAR_FILES
from wsss.data.importers.project import default_name, write_project
from wsss.data.importers.rules.read_context import ReadOptions
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.rasters import image_kinds
from wsss.io.rasters.pixel_values.reading import Reading
from wsss.pipeline.config.source import read_yaml
from wsss.pipeline.config.spec import load_spec
from wsss.pipeline.plan.graph import build_jobs
from wsss.stages import STAGES


def test_images_of_which_all_labels_are_unknown_are_unlabelled(images: Path, tmp_path: Path) -> None:
    """No image shows b, so b is not a class; in i11, the presence of the other class is unknown."""
    rows = ["image,a,b", *(f"i{n}.png,{int(n < 6)},0" for n in range(11)), "i11.png,?,0"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    project = plan(images, tmp_path / "labels.csv", tmp_path)
    data = open_dataset(read_yaml(write_project(project)).value["data"], work=tmp_path / "w")
    assert data.classes.foreground == ("a",)
    assert [sample.id for sample in data.split("unlabelled")] == ["i11"]
    assert all(sample.labels is not None for sample in data.samples(("train", "val")))


def test_everything_that_does_not_match_is_reported(images: Path, tmp_path: Path) -> None:
    (images / "i3.png").write_bytes(b"no image")
    (images / "i4.png").write_bytes((images / "i4.png").read_bytes()[:60])
    (images / "i6.png").write_bytes((images / "i5.png").read_bytes())
    draw(images / "I7.jpg", 50)
    names = {2: "I2.png", 9: "i9.jpg"}
    rows = [f"{names.get(n, f'i{n}.png')},{('moon', 'sun')[n % 2]}" for n in range(9) if n != 7] + ["i9.jpg,Sun"]
    labels = table(tmp_path, *rows, "i7,sun", "absent.png,moon", "I0.PNG,Sun", "i1,moon", "i8.jpg,")
    project = plan(images, labels, tmp_path)
    problems, notes = kinds(project.report.problems), kinds(project.report.notes)
    assert problems[WITHOUT_IMAGE] == (f"{labels}:12: 'absent.png'",)
    unreadable = problems[f"{UNREADABLE}, left out"]
    assert {Path(text.split(":")[0]).name for text in unreadable} == {"i3.png", "i4.png"}
    assert problems[LESS_EXACT] == (
        f"{labels}:13: 'I0.PNG' (i0.png is 'i0.png' at {labels}:2)",
        f"{labels}:15: 'i8.jpg' (i8.png is 'i8.png' at {labels}:9)",
    )
    assert notes[JOINED] == ("i1.png and i1",)
    assert notes["images matched despite a different case"] == ("I2.png → i2.png",)
    assert notes["images matched despite a different suffix"] == ("i9.jpg → i9.png",)
    assert notes[SIMILAR_FILES] == ("I7.jpg and i7.png",)
    assert notes[SIMILAR_CLASSES] == ("'Sun' and 'sun'",)
    assert notes["images without labels"] == ("I7.jpg", "i10.png", "i11.png")
    assert notes["groups of identical image files"] == ("i5, i6",)
    assert set(problems) == {WITHOUT_IMAGE, LESS_EXACT, f"{UNREADABLE}, left out"}
    assert project.report.splits["unlabelled"].images == 3
    counts = [counts for split, counts in project.report.splits.items() if split != "unlabelled"]
    assert sum(c.class_images["moon"] for c in counts) == 5 and sum(c.class_images["Sun"] for c in counts) == 1


def test_classes_that_may_be_several_labels_are_noted(images: Path, tmp_path: Path) -> None:
    names = ["sun+moon", "sun", "moon", "Sun/moon/sun", "sunset", "moon-", "half-moon", ""]
    labels = table(tmp_path, *(f"i{number},{name}" for number, name in enumerate(names)))
    notes = kinds(plan(images, labels, tmp_path).report.notes)
    assert notes[f"{COMBINED_CLASSES} {SEPARATE}"] == ("'Sun/moon/sun'", "'sun+moon'")


def test_no_separator_is_suggested_for_class_folders(tmp_path: Path) -> None:
    for number, name in enumerate(["sun+moon", "sun", "moon"]):
        (tmp_path / "images" / name).mkdir(parents=True)
        draw(tmp_path / "images" / name / f"i{number}.png", number)
    notes = kinds(plan(tmp_path / "images", None, tmp_path).report.notes)
    assert notes[COMBINED_CLASSES] == ("'sun+moon'",)


def test_a_page_is_that_of_the_tiffs_among_other_images(images: Path, tmp_path: Path) -> None:
    first, second = (Image.fromarray(np.full((16, 24), value, np.uint8)) for value in (40, 80))
    first.save(images / "stack.tif", save_all=True, append_images=[second])
    draw(images / "photo.jpg", 30)
    labels = table(tmp_path, "i1,sun", "i2,", "i3,sun", "i4,", "stack,sun", "photo,sun")
    gathered = gather(images, labels, reading=Reading(page=2))
    assert gathered.problems.findings() == () and len(gathered.images) == 14


@pytest.mark.parametrize("name", ["i1.HEIC", "i1.avif", "i3.jpg", "x\ry.png", "\udcff.png", "a..b.png"])
def test_images_that_are_left_out_do_not_break_the_dataset(
    name: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_kinds, "HEIF_PACKAGES", ())
    monkeypatch.setattr(image_kinds, "reads_avif", lambda: False)
    (images / name).write_bytes(b"no image")
    labels = table(tmp_path, *(f"i{number}.png,{('sun', '')[number % 2]}" for number in range(12)))
    project = plan(images, labels, tmp_path)
    config = read_yaml(write_project(project)).value["data"]
    monkeypatch.setattr(image_kinds, "HEIF_PACKAGES", ("json",))  # the pipeline may run where HEIC is read
    data = open_dataset(config, work=tmp_path / "w")
    samples = [sample for split in data.splits.values() for sample in split]
    assert {sample.image.name for sample in samples} == {f"i{number}.png" for number in range(12)}


def test_files_that_are_left_out_are_listed_if_no_image_without_the_class_remains(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_kinds, "HEIF_PACKAGES", ())
    (images / "i1.png").write_bytes(b"no image")
    (images / "other.heic").write_bytes(b"x")
    labels = table(tmp_path, "i0,sun", "i1,", "absent,", "other,", "i2,sun", "i3,sun")
    with pytest.raises(InvalidInput) as error:
        plan(images, labels, tmp_path, val_fraction=0)
    text = str(error.value)
    assert error.value.problem.startswith("all 3 training images show 'sun'")
    assert all(
        word in text for word in (WITHOUT_IMAGE, "'absent'", UNREADABLE, "i1.png", NOT_READ, UNREAD, "other.heic")
    )


def test_ambiguous_names(tmp_path: Path) -> None:
    for number, file in enumerate(("a/1.png", "b/1.png", "b/2.png")):
        draw(tmp_path / "images" / file, number)
    project = plan(tmp_path / "images", table(tmp_path, "1,sun", "2,sun", "b/1.png,moon"), tmp_path)
    assert kinds(project.report.problems) == {AMBIGUOUS: (f"{tmp_path}/labels.csv:2: '1': a/1.png, b/1.png",)}


LABELS = "labels.csv"


@pytest.mark.parametrize(
    ("files", "rows", "shown", "problem", "message"),
    [
        (["cat/1"], ["dog/1.png,dog"], {}, WITHOUT_IMAGE, "2: 'dog/1.png' (in another folder: cat/1.png)"),
        (
            *(["cat/1"], ["dog/1.png,dog", "cat/1.png,cat"], {"cat/1.png": ("cat",)}, WITHOUT_IMAGE),
            "2: 'dog/1.png' (in another folder: cat/1.png)",
        ),
        (
            *(["a"], ["a.jpg,cat", "a.png,dog"], {"a.png": ("dog",)}, LESS_EXACT),
            "2: 'a.jpg' (a.png is 'a.png' at labels.csv:3)",
        ),
        (["3"], ["3,cat", "03,dog"], {"3.png": ("cat",)}, LESS_EXACT, "3: '03' (3.png is '3' at labels.csv:2)"),
        (
            *(["1"], ["dog/1.png,dog", "1.png,cat"], {"1.png": ("cat",)}, LESS_EXACT),
            "2: 'dog/1.png' (1.png is '1.png' at labels.csv:3)",
        ),
        (
            *(["cat/1"], ["1.png,dog", "images/cat/1.png,cat"], {"cat/1.png": ("cat",)}, LESS_EXACT),
            "2: '1.png' (cat/1.png is 'images/cat/1.png' at labels.csv:3)",
        ),
        (["1"], ["dog/1.png,dog", "cat/1.png,cat"], {}, RIVALS, "2: 'dog/1.png', labels.csv:3: 'cat/1.png' → 1.png"),
        (["003"], ["3,cat", "03,dog"], {}, RIVALS, "2: '3', labels.csv:3: '03' → 003.png"),
    ],
)
def test_a_label_is_not_assigned_to_an_uncertain_image(
    files: list[str], rows: list[str], shown: dict[str, tuple[str, ...]], problem: str, message: str, tmp_path: Path
) -> None:
    for number, file in enumerate([*files, "other"]):
        draw(tmp_path / "images" / f"{file}.png", number)
    for reverse in (False, True):
        lines = ["other.png,owl", *reversed(rows)] if reverse else [*rows, "other.png,owl"]
        labels = table(tmp_path, *lines)
        gathered = gather(tmp_path / "images", labels)
        assert {i.file: i.labels for i in gathered.labelled} == {**shown, "other.png": ("owl",)}, reverse
        assert list(gathered.problems.messages) == [problem]
        if not reverse:
            [result] = gathered.problems.messages[problem]
            assert result == f"{labels}:{message.replace(LABELS, str(labels))}"


def test_several_names_of_one_image_are_joined(tmp_path: Path) -> None:
    for number, file in enumerate(("cat/1.png", "cat/2.png")):
        draw(tmp_path / "photos" / file, number)
    rows = ("cat/1.png,cat", "cat/1,owl", "photos/cat/1.png,dog", "photos/2.png,cat", "2,owl")
    gathered = gather(tmp_path / "photos", table(tmp_path, *rows))
    assert {image.file: image.labels for image in gathered.labelled} == {
        "cat/1.png": ("cat", "owl", "dog"),
        "cat/2.png": ("cat", "owl"),
    }
    assert not gathered.problems.messages


def test_no_certain_match(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "1.png")
    labels = table(tmp_path, "dog/1.png,dog", "cat/1.png,cat")
    with pytest.raises(InvalidInput) as error:
        gather(tmp_path / "images", labels)
    assert error.value.subject == str(labels) and RIVALS in error.value.problem


def test_no_match(images: Path, tmp_path: Path) -> None:
    labels = table(tmp_path, "x.png,sun", "y.png,sun")
    with pytest.raises(InvalidInput) as error:
        gather(images, labels)
    assert error.value.subject == str(labels) and "--images" in (error.value.hint or "")
    assert "x.png, y.png" in error.value.problem and "i0.png" in error.value.problem
    (images / "i0.png").write_bytes(b"")
    with pytest.raises(InvalidInput) as error:
        gather(images, table(tmp_path, "i0.png,sun"))
    assert error.value.subject == str(images)


def coco_without_annotations(folder: Path) -> tuple[Path, ReadOptions]:
    images = [{"id": n, "file_name": f"i{n}.png"} for n in range(3)]
    categories = [{"id": 1, "name": "sun"}, {"id": 2, "name": "moon"}]
    (folder / "l.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": []}))
    return folder / "l.json", ReadOptions()


def columns_of_zeros(folder: Path) -> tuple[Path, ReadOptions]:
    (folder / "l.csv").write_text("image,sun,moon\ni0.png,0,0\ni1.png,0,0\n")
    return folder / "l.csv", ReadOptions()


def vectors_of_zeros(folder: Path) -> tuple[Path, ReadOptions]:
    np.save(folder / "l.npy", {"i0": np.zeros(2), "i1": np.zeros(2)})
    (folder / "names.txt").write_text("sun\nmoon\n")
    return folder / "l.npy", ReadOptions(classes=folder / "names.txt")


@pytest.mark.parametrize("write", [coco_without_annotations, columns_of_zeros, vectors_of_zeros])
def test_no_image_shows_a_class(
    write: Callable[[Path], tuple[Path, ReadOptions]], images: Path, tmp_path: Path
) -> None:
    labels, how = write(tmp_path)
    with pytest.raises(InvalidInput) as error:
        gather(images, labels, how)
    assert error.value.subject == str(labels) and "(sun, moon)" in error.value.problem and error.value.hint


@pytest.mark.parametrize("missing", ["absent", "i1"])
def test_problems_are_listed_if_the_only_image_of_a_class_is_missing(
    missing: str, images: Path, tmp_path: Path
) -> None:
    (images / "i1.png").write_bytes(b"no image")
    with pytest.raises(InvalidInput) as error:
        gather(images, table(tmp_path, "i0,", f"{missing},sun"))
    assert "(sun)" in error.value.problem and f"{missing}" in error.value.problem


def test_the_same_call_writes_the_same_bytes(images: Path, tmp_path: Path) -> None:
    labels = table(tmp_path, *(f"i{n},{'sun' if n % 3 else 'moon'}" for n in range(10)))
    first, second = (plan(images, labels, tmp_path, seed=seed).files for seed in (7, 7))
    assert first == second
    assert plan(images, labels, tmp_path, seed=8).files != first
    assert set(first) == {
        "pipeline.yaml",
        "image_labels.csv",
        "classes.txt",
        *(f"splits/{s}.txt" for s in ("train", "val", "unlabelled")),
    }


def test_files_are_replaced_only_with_force(images: Path, tmp_path: Path) -> None:
    labels = table(tmp_path, *(f"i{n},sun" for n in range(9)), "i9,moon")
    project = plan(images, labels, tmp_path)
    pipeline = write_project(project)
    with pytest.raises(InvalidInput) as error:
        write_project(project)
    assert error.value.subject == str(tmp_path / "out") and "--force" in (error.value.hint or "")
    (tmp_path / "out" / "splits" / "old.txt").write_text("gone\n")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    write_project(project, force=True)
    assert not (tmp_path / "out" / "splits" / "old.txt").exists(), "it would be read"
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert set(open_dataset(read_yaml(pipeline).value["data"], work=tmp_path).splits) == {"train", "val", "unlabelled"}
    own = (tmp_path / "out" / "image_labels.csv").read_text()
    with pytest.raises(InvalidInput) as error:
        write_project(project, force=True, keep=[tmp_path / "out" / "image_labels.csv"])
    assert error.value.subject == str(tmp_path / "out" / "image_labels.csv")
    assert (tmp_path / "out" / "image_labels.csv").read_text() == own


@pytest.mark.parametrize("weights", ["imagenet", "none", "file"])
@pytest.mark.parametrize(("size", "share"), [((24, 16), 0.0), ((700, 525), 0.3), ((90, 210), 0.3)])
def test_pipelines_are_valid(weights: str, size: tuple[int, int], share: float, tmp_path: Path) -> None:
    for number in range(5):
        draw(tmp_path / 'my "best" photos: #1' / f"{number}.png", number, size)
    labels = table(tmp_path, *(f"{number},{('sun', 'big moon')[number % 2]}" for number in range(4)))
    (tmp_path / "my weights.pth").write_bytes(b"x")
    initial = tmp_path / "my weights.pth" if weights == "file" else weights
    project = plan(tmp_path / 'my "best" photos: #1', labels, tmp_path, weights=initial, val_fraction=share)
    pipeline = write_project(project)
    spec = load_spec(str(pipeline), STAGES)
    small = weights == "none" or max(size) < 200
    assert list(build_jobs(spec, STAGES)) == [
        *("classify", "expand", *(("shrink",) if small else ()), "cam"),
        *(() if small else ("pseudo-sure", "crf-sure", "affinity", "propagate")),
        *("pseudo", "crf", "segment", "predict", "report"),
    ]
    dataset = open_dataset(spec.data, work=tmp_path)
    assert len(dataset.samples(list(dataset.splits))) == 5
    assert ("val" in dataset.splits) is (share > 0)
    jobs = build_jobs(spec, STAGES)
    shown = set(jobs["report"].config.splits)
    assert shown == set(jobs["predict"].config.splits) == set(dataset.splits)
    assert all(shown & set(jobs[name].config.splits) for name in ("cam", "pseudo", "crf")), "the report shows them"


def test_missing_weights(images: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        plan(images, table(tmp_path, "i0,sun"), tmp_path, weights=tmp_path / "absent.pth")
    assert error.value.subject == f"--weights: {tmp_path / 'absent.pth'}"


def test_names_of_pipelines(tmp_path: Path) -> None:
    assert default_name(tmp_path / "holiday photos" / "images") == "holiday-photos"
    assert default_name(tmp_path / "Élan 2") == "Elan-2"
    assert default_name(tmp_path / "写真") == default_name(Path("/")) == "mine"


def test_class_names_for_vectors(images: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", {"i0": np.array([1, 0, 0]), "i1": np.array([0, 0, 1])})
    (tmp_path / "names.txt").write_text("sun\nhalf moon\nstar\n")
    gathered = gather(images, tmp_path / "l.npy", ReadOptions(classes=tmp_path / "names.txt"))
    assert gathered.classes == ("sun", "star")
    assert gathered.notes.messages[UNSHOWN] == {"half moon": None}


def test_two_uploads_of_one_name_are_not_assigned_to_one_image(tmp_path: Path) -> None:
    """The folder has one of two uploads with the same name, and either label may belong to it."""
    for number, file in enumerate(("img", "other")):
        draw(tmp_path / "photos" / f"{file}.png", number)
    rows = [f"/data/upload/1/{hash}-img.png,{name}" for hash, name in (("1d2c3b4a", "sun"), ("2d2c3b4a", "moon"))]
    gathered = gather(tmp_path / "photos", table(tmp_path, *rows, "/data/upload/1/3d2c3b4a-other.png,sun"))
    assert {image.file: image.labels for image in gathered.labelled} == {"other.png": ("sun",)}
    [(kind, messages)] = kinds(gathered.problems.findings()).items()
    assert kind == RIVALS and "1d2c3b4a-img.png" in messages[0] and "2d2c3b4a-img.png" in messages[0]
    notes = kinds(gathered.notes.findings())
    assert notes[UNPREFIXED] == ("/data/upload/1/3d2c3b4a-other.png → other.png",)


@pytest.mark.parametrize("front", ["images/", "images\\", "../../label-studio/data/media/upload/1/", ""])
@pytest.mark.parametrize("kept", [True, False])
def test_coco_exported_by_label_studio(front: str, kept: bool, tmp_path: Path) -> None:
    hashes = ("0123abcd-", "1123abcd-", "2123abcd-")
    for number, prefix in enumerate(hashes):
        draw(tmp_path / "photos" / f"{prefix if kept else ''}i{number}.png", number)
    content = {
        "images": [{"id": n, "file_name": f"{front}{prefix}i{n}.png"} for n, prefix in enumerate(hashes)],
        "categories": [{"id": 0, "name": "sun"}, {"id": 1, "name": "moon"}],
        "annotations": [{"id": n, "image_id": n, "category_id": n} for n in range(2)],
    }
    (tmp_path / "result.json").write_text(json.dumps(content))
    gathered = gather(tmp_path / "photos", tmp_path / "result.json")
    assert not gathered.problems.messages
    assert [image.labels for image in gathered.images] == [("sun",), ("moon",), ()]
