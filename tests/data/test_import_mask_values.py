"""Importing masks: the classes that the values of a folder of masks stand for, above all 255."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_sources import CAT, DOG, HEIGHT, SIZE, UNLABELLED, WIDTH, error_of, imported, rectangle
from PIL import Image

from wsss.data.corrections.correction_folder import open_corrections
from wsss.data.corrections.formats import mask_pictures
from wsss.data.corrections.import_masks import import_masks
from wsss.data.dataset import Dataset
from wsss.io.rasters.label_masks import voc_palette, write_mask


def test_masks_of_0_and_255_are_refused(data: Dataset, tmp_path: Path) -> None:
    """255 would mean unlabelled, and the objects would be lost."""
    for name in ("a", "b"):
        write_mask(tmp_path / "m" / f"{name}.png", rectangle(255))
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "cat 8" in str(error.hint) and "255" in error.problem and error.subject == str(tmp_path / "m")
    write_mask(tmp_path / "m" / "b.png", rectangle(8, outside=255))
    assert import_masks(tmp_path / "m", data, tmp_path / "c").ids == ("a", "b")


def test_a_class_list_does_not_change_the_meaning_of_255(data: Dataset, tmp_path: Path) -> None:
    """With ``classes.txt`` beside them, masks of 0 and 255 became background with unlabelled objects."""
    for name in ("a", "b"):
        write_mask(tmp_path / "m" / f"{name}.png", rectangle(255))
    (tmp_path / "m" / "classes.txt").write_text("12 cat\n9 cow\n")
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "255" in error.problem and error.subject == str(tmp_path / "m")
    assert "cat 12" in str(error.hint) and "cow" not in str(error.hint)
    (tmp_path / "m" / "labelmap.txt").write_text("background:0,0,0::\nignore:224,224,192::\n")
    assert import_masks(tmp_path / "m", data, tmp_path / "c").ids == ("a", "b")


@pytest.mark.parametrize("listed", [False, True])
def test_masks_of_two_encodings_are_refused(
    listed: bool, voc: Path, open_at: Callable[..., Dataset], tmp_path: Path
) -> None:
    """0 and 255 in one, 0 and the class in the other: 255 probably means the class."""
    opened = open_at(voc, classes=["cat"])

    def labelled(labels: tuple[int, ...] | None) -> Dataset:
        splits = {name: tuple(replace(one, labels=labels) for one in split) for name, split in opened.splits.items()}
        return replace(opened, classes=replace(opened.classes, other=frozenset()), splits=splits)

    cat = labelled(None)
    write_mask(tmp_path / "m" / "a.png", rectangle(8))
    write_mask(tmp_path / "m" / "b.png", rectangle(255))
    if listed:
        (tmp_path / "m" / "classes.txt").write_text("8 cat\n")
    error = error_of(tmp_path / "m", cat, tmp_path)
    assert "b.png" in error.problem and "a.png" not in error.problem and error.subject == str(tmp_path / "m")
    assert "cat 8" in str(error.hint) and "labelmap.txt" in str(error.hint)
    for number, (name, mask) in enumerate(
        [
            ("a", np.where(rectangle(1) == 1, 8, np.eye(*SIZE, dtype=np.uint8) * 255)),  # has ignored pixels, too
            ("b", np.where(np.arange(HEIGHT * WIDTH).reshape(SIZE) == 7, 255, 0)),  # less than a border
        ]
    ):
        folder = tmp_path / f"m{number}"
        shutil.copytree(tmp_path / "m", folder)
        write_mask(folder / f"{name}.png", mask.astype(np.uint8))
        assert import_masks(folder, cat, tmp_path / f"c{number}").ids == ("a", "b")
    assert import_masks(tmp_path / "m", labelled(()), tmp_path / "c2").ids == ("a", "b")


def test_the_class_list_of_a_folder_names_its_values(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "classes.txt").write_text("12 cat\n8 dog\n9 cow\n")
    write_mask(tmp_path / "m" / "SegmentationClass" / "a.png", rectangle(12, outside=255))
    assert np.array_equal(imported(tmp_path / "m", data, tmp_path), rectangle(CAT, outside=UNLABELLED))
    for value, found in ((9, "cow"), (7, [7])):
        write_mask(tmp_path / "m" / "SegmentationClass" / "a.png", rectangle(value))
        error = error_of(tmp_path / "m", data, tmp_path, force=True)
        assert error.found == found and "a.png" in str(error.subject)


@pytest.mark.parametrize("name", ["SegmentationClass", "masks"])
@pytest.mark.parametrize("statement", ["classes.txt", "labelmap.txt"])
def test_classes_may_be_stated_above_the_folder_of_masks(
    statement: str, name: str, data: Dataset, tmp_path: Path
) -> None:
    """VOC's layout and CVAT's "Segmentation mask" state the classes beside SegmentationClass, others beside masks."""
    folder = tmp_path / "m" / name
    write_mask(folder / "a.png", rectangle(8))
    red, green, blue = voc_palette()[8].tolist()
    text = {"classes.txt": "8 dog\n12 cat\n", "labelmap.txt": f"background:0,0,0::\ndog:{red},{green},{blue}::\n"}
    (tmp_path / "m" / statement).write_text(text[statement])
    assert np.array_equal(imported(folder, data, tmp_path), rectangle(DOG))
    (tmp_path / "relative").mkdir()
    with contextlib.chdir(folder):
        assert np.array_equal(imported(Path(), data, tmp_path / "relative"), rectangle(DOG))
    assert open_corrections(tmp_path / "relative" / "c").images["a"].source == "a.png"
    for number, inside in enumerate((folder / "train", folder)):
        inside.mkdir(exist_ok=True)
        (tmp_path / f"above{number}").mkdir()
        with contextlib.chdir(inside):
            source = Path("..") if inside != folder else Path("..", name)
            assert np.array_equal(imported(source, data, tmp_path / f"above{number}"), rectangle(DOG)), source


def test_masks_of_a_stage_are_named_by_ids_wherever_they_are_read(data: Dataset, tmp_path: Path) -> None:
    """The record of the stage is above the folder of the masks, also above the working directory."""
    folder = tmp_path / "pseudo" / "masks"
    write_mask(folder / "a.png", rectangle(8))
    (tmp_path / "pseudo" / "stage.json").write_text("{}")
    (folder / "part").mkdir()
    for inside, source in ((folder, "."), (folder / "part", "..")):
        with contextlib.chdir(inside):
            [image] = mask_pictures.read(Path(source), data.classes)
        assert image.id == "a", source


def test_masks_beside_their_photographs(data: Dataset, tmp_path: Path) -> None:
    write_mask(tmp_path / "m" / "a.png", rectangle(8))
    for name in ("a.jpg", "a.JPEG"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "m" / name)
    assert np.array_equal(imported(tmp_path / "m", data, tmp_path), rectangle(CAT))
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "m" / "b.jpg")
    error = error_of(tmp_path / "m", data, tmp_path, force=True)
    assert "JPEG" in str(error) and "b.jpg" in str(error.subject)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_beside_a_label_map_are_refused(mode: str, data: Dataset, tmp_path: Path) -> None:
    """On white, as photographs are shown, they would have the class of white."""
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "labelmap.txt").write_text("background:0,0,0::\ncat:255,255,255::\n")
    grey = Image.fromarray(rectangle(255))
    image = {"RGBA": grey.convert("RGBA"), "LA": grey.convert("LA"), "P": grey.convert("P")}[mode]
    transparent: dict[str, Any] = {"transparency": 0} if mode == "P" else {}
    if mode != "P":
        image.putalpha(grey)
    image.save(folder / "a.png", **transparent)
    error = error_of(folder, data, tmp_path)
    assert "transparent" in error.problem and "a.png" in str(error.subject)
    if mode != "P":
        image.putalpha(255)
    image.save(folder / "a.png")
    assert np.array_equal(imported(folder, data, tmp_path), rectangle(CAT))


def test_a_sorted_palette_is_refused(data: Dataset, tmp_path: Path) -> None:
    """Some programs sort the palette of an indexed PNG, so that values are no longer classes."""
    expected = np.zeros(SIZE, np.uint8)
    expected[2:6, 3:9], expected[7, :] = CAT, DOG
    (tmp_path / "masks").mkdir()
    path = tmp_path / "masks" / "a.png"
    write_mask(path, data.classes.decode(expected))
    with Image.open(path) as written:
        written.convert("RGB").save(tmp_path / "rgb.png")
    assert np.array_equal(imported(tmp_path / "masks", data, tmp_path), expected)
    with Image.open(tmp_path / "rgb.png") as colours:
        codes, positions = np.unique(np.asarray(colours).reshape(-1, 3)[:, ::-1], axis=0, return_inverse=True)
    image = Image.fromarray(positions.reshape(SIZE).astype(np.uint8), "P")
    image.putpalette(codes[:, ::-1].ravel().tolist())
    image.save(path)
    error = error_of(tmp_path / "masks", data, tmp_path, force=True)
    assert str(path) in str(error.subject) and "colour of value" in error.problem
    (tmp_path / "masks" / "labelmap.txt").write_text(
        "".join(
            f"{name}:{','.join(map(str, voc_palette()[values[0]].tolist()))}::\n"
            for name, values in zip(data.classes.names, data.classes.values, strict=True)
        )
    )
    (tmp_path / "with").mkdir()
    assert np.array_equal(imported(tmp_path / "masks", data, tmp_path / "with"), expected)


def test_other_palettes_do_not_change_values(data: Dataset, tmp_path: Path) -> None:
    expected = np.zeros(SIZE, np.uint8)
    expected[2:6, 3:9] = CAT
    (tmp_path / "masks").mkdir()
    image = Image.fromarray(data.classes.decode(expected), "P")
    for number, palette in enumerate(
        ([0, 0, 0] * 8 + [250, 50, 83], [level for v in range(256) for level in (v,) * 3])
    ):
        image.putpalette(palette)
        image.save(tmp_path / "masks" / "a.png")
        (tmp_path / str(number)).mkdir()
        assert np.array_equal(imported(tmp_path / "masks", data, tmp_path / str(number)), expected)


@pytest.mark.parametrize("colour", [(0, 128, 0), (0, 0, 128), (128, 128, 128)])
@pytest.mark.parametrize("listed", [False, True])
def test_palettes_with_some_colours_of_voc_do_not_change_values(
    listed: bool, colour: tuple[int, ...], voc: Path, open_at: Callable[..., Dataset], tmp_path: Path
) -> None:
    """Green, navy and grey are usual colours, and no colours of other values of these classes."""
    data = open_at(voc, classes=["cat", "dog"])
    (tmp_path / "m").mkdir()
    value = 1 if listed else 8
    if listed:
        (tmp_path / "m" / "classes.txt").write_text("1 cat\n")
        colours = [(0, 0, 0), colour]
    else:
        data = replace(data, classes=replace(data.classes, other=frozenset()))
        colours = [*[(0, 0, 0)] * 8, colour]
    image = Image.fromarray(rectangle(value), "P")
    image.putpalette([level for one in colours for level in one])
    image.save(tmp_path / "m" / "a.png")
    assert np.array_equal(imported(tmp_path / "m", data, tmp_path), rectangle(CAT))


def test_values_with_two_meanings_are_refused(voc: Path, open_at: Callable[..., Dataset], tmp_path: Path) -> None:
    """The ground truth may have other values than masks by wsss, and a folder of masks does not say which it has."""
    names = {0: "background", 8: "dog", 12: "cat", 255: "dog"}
    data = open_at(voc, classes=["cat", "dog"], mask_values=names)
    (tmp_path / "m").mkdir()
    expected = np.zeros(SIZE, np.uint8)
    expected[2:6, 3:9] = CAT
    path = tmp_path / "m" / "a.png"
    write_mask(path, data.classes.decode(expected))
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "8 means cat" in str(error) and "dog in the ground truth" in str(error)
    (tmp_path / "m" / "classes.txt").write_text("8 dog\n12 cat\n")
    (tmp_path / "stated").mkdir()
    assert np.array_equal(imported(tmp_path / "m", data, tmp_path / "stated"), np.where(expected == CAT, DOG, 0))
    imported_once = import_masks(tmp_path / "stated" / "c", data, tmp_path / "again")
    assert imported_once.corrections.read("a", SIZE)[3, 4] == DOG
    (tmp_path / "m" / "classes.txt").unlink()
    other = open_at(voc, classes=["cat", "dog"], mask_values={0: "background", 1: "cat", 2: "dog"})
    (tmp_path / "other").mkdir()
    assert np.array_equal(imported(tmp_path / "m", other, tmp_path / "other"), expected)


def test_unlabelled_pixels_do_not_hide_values_with_two_meanings(
    voc: Path, open_at: Callable[..., Dataset], tmp_path: Path
) -> None:
    """The ground truth does not name 255, which is unlabelled in either kind of mask."""
    data = open_at(voc, classes=["cat", "dog"], mask_values={0: "background", 8: "dog", 12: "cat"})
    mask = data.classes.decode(rectangle(CAT))
    mask[0, 0] = UNLABELLED
    write_mask(tmp_path / "m" / "a.png", mask)
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "8 means cat" in str(error) and "dog in the ground truth" in str(error)


def test_the_hint_for_255_as_a_class_can_be_followed(
    voc: Path, open_at: Callable[..., Dataset], tmp_path: Path
) -> None:
    """A class list cannot name 255: the masks have to be renumbered, or their colours listed."""
    data = open_at(voc, classes=["cat"], mask_values={0: "background", 255: "cat"})
    write_mask(tmp_path / "m" / "a.png", rectangle(255))
    write_mask(tmp_path / "m" / "b.png", rectangle(255))
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "cat 8" in str(error.hint) and "labelmap.txt" in str(error.hint) and "classes.txt" not in str(error.hint)
    for name in ("a", "b"):
        write_mask(tmp_path / "m" / f"{name}.png", rectangle(8))
    assert import_masks(tmp_path / "m", data, tmp_path / "c").ids == ("a", "b")
