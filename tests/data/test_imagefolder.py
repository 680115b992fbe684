"""Folders of images without labels, and the record of predicted masks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.data.classes import Classes
from wsss.data.image_ids import image_ids
from wsss.data.masks.predicted_masks import FailedImage, Predicted, read_predicted, write_predicted
from wsss.data.readers.imagefolder import has_images_below, images_in, skip_notes
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png


def put(folder: Path, *names: str) -> Path:
    for name in names:
        write_png(folder / name, np.zeros((2, 2, 3), np.uint8))
    return folder


def test_flat_and_recursive(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a.PNG", ".hidden.png", "in/a.png", "in/.git/x.png", "in/deep/c.v2.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert [sample.id for sample in images_in(tmp_path).samples] == ["a", "b"]
    samples = images_in(tmp_path, recursive=True).samples
    assert [sample.id for sample in samples] == ["a", "b", "in__a", "in__deep__c.v2"]
    assert [sample.image.relative_to(tmp_path).as_posix() for sample in samples][2:] == ["in/a.png", "in/deep/c.v2.png"]
    assert all(sample.labels is None and sample.mask is None for sample in samples)
    assert has_images_below(tmp_path) and not has_images_below(tmp_path / "in" / "deep")


@pytest.mark.parametrize("recursive", [False, True])
def test_missing_and_empty_folders(tmp_path: Path, recursive: bool) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InvalidInput) as error:
            images_in(folder, recursive=recursive)
        assert error.value.subject == str(folder)


@pytest.mark.parametrize("recursive", [False, True])
def test_ids_are_those_of_init(tmp_path: Path, recursive: bool) -> None:
    names = ["a.bmp", "a.png", "b.png", "con.jpg"]
    result = images_in(put(tmp_path, *names), recursive=recursive)
    assert {sample.image.name: sample.id for sample in result.samples} == image_ids(names)
    assert [sample.id for sample in result.samples] == ["a_bmp", "a_png", "b", "_con"]
    assert set(result.renamed.values()) == {"a.bmp", "a.png", "con.jpg"}
    (tmp_path / "a.bmp").unlink()
    assert images_in(tmp_path, recursive=recursive).renamed == {"_con": "con.jpg"}


def test_ambiguous_paths_get_a_hash(tmp_path: Path) -> None:
    put(tmp_path, "a__b.png", "a/b.png")
    assert [sample.id for sample in images_in(tmp_path).samples] == ["a__b"]
    result = images_in(tmp_path, recursive=True)
    assert {sample.id: sample.image.name for sample in result.samples} == {
        "a__b_png__b634ba14": "a__b.png",
        "a__b_png__88f7ec79": "b.png",
    }


def test_invalid_ids_are_replaced_by_similar_ones(tmp_path: Path) -> None:
    names = ["x\ny.png", "a..b.png", "back\\slash.png", "é" * 120 + ".png", "fine.png"]
    folder = images_in(put(tmp_path, *names))
    result = {sample.image.name: sample.id for sample in folder.samples}
    assert set(result) == set(names) and result["fine.png"] == "fine"
    assert {file: one for one, file in folder.renamed.items()} == {name: result[name] for name in names[:-1]}
    for name, start in zip(names, ("x_y", "a__b", "back_slash", "é" * 95 + "~"), strict=False):
        assert result[name].startswith(start) and check_id(result[name], "") and len(result[name].encode()) <= 200
    assert len(set(result.values())) == len(names)
    assert images_in(tmp_path) == folder


def test_names_must_be_utf8(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / os.fsdecode(b"b\xff.png")).write_bytes(b"")
    folder = images_in(tmp_path)
    assert [sample.id for sample in folder.samples] == ["a"] and folder.undecodable == ("'b\\udcff.png'",)


def test_images_in_subfolders_suggest_recursive(tmp_path: Path) -> None:
    put(tmp_path, "in/a.png")
    with pytest.raises(InvalidInput) as error:
        images_in(tmp_path)
    assert "--recursive" in str(error.value.hint)


def test_the_record_of_predicted_masks(tmp_path: Path) -> None:
    classes = Classes(("background", "cat"), ((0,), (8, 9)), frozenset({3}), 255)
    assert read_predicted(tmp_path) is None
    written = Predicted(classes, {"a": "a.png", "in__b": "in/b.jpg"})
    failed = {"c": FailedImage("c.png", "c.png: broken.")}
    for one in (Predicted(classes, {"a": "a.png"}, failed, {"a": "12"}), Predicted(classes, None, failed, {})):
        write_predicted(tmp_path, one)
        assert read_predicted(tmp_path) == one
    write_predicted(tmp_path, written)
    assert read_predicted(tmp_path) == written
    document = json.loads((tmp_path / "images.json").read_text())
    for path in ("/etc/passwd", "../x.png", "in/../../x.png"):
        (tmp_path / "images.json").write_text(json.dumps({**document, "files": {"a": path}}))
        with pytest.raises(InvalidInput) as error:
            read_predicted(tmp_path)
        assert repr(path) in error.value.problem
    for text in ("", "[]", "{}", '{"classes": {}, "files": {}}', '{"failed": {"a": 1}}', '{"classes": 1, "files": []}'):
        (tmp_path / "images.json").write_text(text)
        with pytest.raises(InvalidInput) as error:
            read_predicted(tmp_path)
        assert error.value.subject == str(tmp_path / "images.json")


def test_files_with_several_frames_are_noted(tmp_path: Path) -> None:
    page = Image.fromarray(np.zeros((4, 5, 3), np.uint8))
    page.save(tmp_path / "one.webp")
    page.save(tmp_path / "Two.WEBP", save_all=True, append_images=[Image.new("RGB", (5, 4), "red")])
    (tmp_path / "broken.webp").write_bytes(b"RIFF")
    (note,) = skip_notes(tmp_path)
    assert "only the first frame is used: Two.WEBP" in note
