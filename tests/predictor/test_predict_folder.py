"""``wsss predict`` with weights and a folder of images instead of a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inprocess import invoke
from PIL import Image

from wsss.errors import InvalidInput, RunFailed
from wsss.io.rasters import image_kinds
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import write_png


def test_subfolders_become_part_of_the_id(model: Path, photographs: Path, tmp_path: Path) -> None:
    arguments = ["predict", "--weights", model, "--images", photographs, "--recursive"]
    done = invoke(*arguments, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"]["images"] == 5
    masks = sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir())
    assert masks == ["a", "deep__c d", "deep__er__a", "grey", "turned"]
    files = json.loads((tmp_path / "out" / "images.json").read_text())["files"]
    assert files["deep__er__a"] == "deep/er/a.png" and set(files) == set(masks)
    write_png(photographs / "deep__c d.png", np.zeros((4, 4, 3), np.uint8))
    done = invoke(*arguments, "--out", tmp_path / "again")
    assert done.exit_code == 0, done.output
    files = json.loads((tmp_path / "again" / "images.json").read_text())["files"]
    assert {"deep__c d.png", "deep/c d.png"} < set(files.values()) and len(files) == 6


def test_predictions_can_be_exported_without_a_dataset(model: Path, photographs: Path, tmp_path: Path) -> None:
    arguments = ["predict", "--weights", model, "--images", photographs, "--recursive", "--out", tmp_path / "out"]
    assert invoke(*arguments).exit_code == 0
    options = ["--format", "voc", "--with-images", "copy", "--ids", "deep__er__a,a"]
    done = invoke("export", tmp_path / "out", *options, "--out", tmp_path / "voc")
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "voc" / "classes.txt").read_text() == "40 red\n90 green\n"
    assert (tmp_path / "voc" / "ImageSets/Segmentation/default.txt").read_text() == "deep/er/a\na\n"
    copied = (tmp_path / "voc" / "JPEGImages" / "deep/er/a.png").read_bytes()
    photographs.rename(tmp_path / "moved")
    done = invoke("export", tmp_path / "out", *options, "--out", tmp_path / "again")
    assert isinstance(done.exception, InvalidInput)
    assert [one.subject for one in done.exception.errors] == ["deep__er__a", "a"]
    assert "--with-images" in done.exception.errors[0].problem
    photographs = tmp_path / "moved"
    done = invoke("export", tmp_path / "out", *options, "--images", photographs, "--out", tmp_path / "again")
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "again" / "JPEGImages" / "deep/er/a.png").read_bytes() == copied
    assert copied == (photographs / "deep/er/a.png").read_bytes()


@pytest.mark.parametrize("options", [("--classes", "no.txt"), ("--images", "no"), ("--images", "empty")])
def test_invalid_options_of_an_export(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, str]
) -> None:
    assert invoke("predict", "--weights", model, "--images", photographs, "--out", tmp_path / "out").exit_code == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = invoke("export", "out", "--format", "coco", "--out", "coco", *options)
    assert isinstance(done.exception, InvalidInput) and done.exception.subject == " ".join(options)
    assert not (tmp_path / "coco").exists()


def test_predicting_into_the_folder_of_images_is_an_error(model: Path, photographs: Path) -> None:
    before = sorted(photographs.rglob("*"))
    done = invoke("predict", "--weights", model, "--images", photographs, "--out", photographs / "x")
    assert isinstance(done.exception, InvalidInput)
    assert sorted(photographs.rglob("*")) == before


@pytest.mark.parametrize("batch_size", [1, 3])
def test_invalid_images_do_not_stop_others(model: Path, photographs: Path, tmp_path: Path, batch_size: int) -> None:
    (photographs / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (photographs / "b.png").write_bytes((photographs / "a.png").read_bytes()[:-700])  # with a valid header
    out = tmp_path / "out"
    arguments = ["predict", "--weights", model, "--images", photographs, "--out", out]
    arguments += ["--batch-size", str(batch_size)]
    done = invoke(*arguments)
    assert isinstance(done.exception, RunFailed)
    assert all(name in done.exception.problem for name in ("2 of 5", "0.png", "b.png"))
    assert {path.stem for path in (out / "masks").iterdir()} == {"a", "grey", "turned"}
    record = json.loads((out / "images.json").read_text())
    assert set(record["files"]) == {"a", "grey", "turned"}
    assert {name: why["file"] for name, why in record["failed"].items()} == {"0": "0.png", "b": "b.png"}
    assert all(why["reason"].startswith(str(photographs / why["file"])) for why in record["failed"].values())
    exported = invoke("export", out, "--format", "coco", "--out", tmp_path / "coco")
    assert exported.exit_code == 0, exported.exception
    assert "images that could not be predicted: 0, b" in exported.stderr
    images = json.loads((tmp_path / "coco" / "annotations.json").read_text())["images"]
    assert {image["file_name"] for image in images} == {"a.png", "grey.tif", "turned.jpg"}
    (photographs / "b.png").unlink()
    assert "0.png" in str(invoke(*arguments).exception)
    (photographs / "0.png").unlink()
    assert invoke(*arguments).exit_code == 0
    assert "failed" not in json.loads((out / "images.json").read_text())


def test_only_changed_images_are_predicted_again(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks of removed images are deleted; other options discard all masks."""
    from wsss.stages.common.inference import predict_batch

    predicted: list[str] = []
    original = predict_batch.predict_batch

    def record(*arguments: Any) -> Any:
        predicted.extend(sample.id for sample in arguments[2])
        return original(*arguments)

    monkeypatch.setattr(predict_batch, "predict_batch", record)
    content = (photographs / "a.png").read_bytes()
    (photographs / "b.png").write_bytes(content[:-700])
    write_png(photographs / "removed.png", np.zeros((9, 9, 3), np.uint8))
    out = tmp_path / "out"
    arguments = ["predict", "--weights", model, "--images", photographs, "--out", out]
    assert invoke(*arguments).exit_code == 1 and set(predicted) == {"a", "b", "removed", "grey", "turned"}
    modified = (out / "masks" / "a.png").stat().st_mtime_ns
    (photographs / "b.png").write_bytes(content)
    (photographs / "removed.png").unlink()
    Image.new("RGB", (31, 17), "red").save(photographs / "grey.tif")
    predicted.clear()
    done = invoke(*arguments)
    assert done.exit_code == 0, done.exception
    assert set(predicted) == {"b", "grey"}
    assert (out / "masks" / "a.png").stat().st_mtime_ns == modified
    assert {path.stem for path in (out / "masks").iterdir()} == {"a", "b", "grey", "turned"}
    assert read_mask(out / "masks" / "grey.png").shape == (17, 31)
    fresh = tmp_path / "fresh"
    assert invoke("predict", "--weights", model, "--images", photographs, "--out", fresh).exit_code == 0
    for file in sorted(path.relative_to(fresh) for path in [*fresh.glob("masks/*"), fresh / "images.json"]):
        assert (out / file).read_bytes() == (fresh / file).read_bytes(), file
    (photographs / "b.png").write_bytes(content[:-700])
    assert invoke(*arguments).exit_code == 1
    predicted.clear()
    assert invoke(*arguments, "--flip").exit_code == 1
    assert set(predicted) == {"a", "b", "grey", "turned"}


def test_skipped_files_are_listed(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_kinds, "HEIF_PACKAGES", ())
    for name in ("image.psd", "photo.HEIC", "raw.cr2", "notes.txt", ".hidden.heic"):
        (photographs / name).write_bytes(b"GIF89a")
    write_png(photographs / ".thumbnails" / "a.png", np.zeros((4, 4, 3), np.uint8))
    write_png(photographs / ".b.png", np.zeros((4, 4, 3), np.uint8))
    (photographs / "deep" / "x.jxl").write_bytes(b"GIF89a")
    arguments = ["predict", "--weights", model, "--images", photographs]
    done = invoke(*arguments, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    [note] = [line for line in done.stderr.splitlines() if "image files in" in line]
    assert [name for name in ("image.psd", "photo.HEIC", "raw.cr2", "x.jxl") if name in note] == [
        *("image.psd", "photo.HEIC", "raw.cr2")
    ]
    assert "wsss[heic]" in note
    [hidden] = [line for line in done.stderr.splitlines() if "hidden images" in line]
    assert hidden.endswith(": .b.png.")
    done = invoke(*arguments, "--recursive", "--out", tmp_path / "deep")
    [note] = [line for line in done.stderr.splitlines() if "image files in" in line]
    assert "4 image files" in note and "deep/x.jxl" in note
    [hidden] = [line for line in done.stderr.splitlines() if "hidden images" in line]
    assert hidden.endswith(": .b.png, .thumbnails/a.png.")
    assert "--recursive" not in done.stderr


def test_image_names_that_are_invalid_for_masks(model: Path, photographs: Path, tmp_path: Path) -> None:
    names = ["ü" * 124 + ".png", "a..b.png", "x\ny.png"]
    for name in names:
        write_png(photographs / name, np.zeros((4, 6, 3), np.uint8))
    out = tmp_path / "out"
    done = invoke("predict", "--weights", model, "--images", photographs, "--out", out, "--save-probabilities")
    assert done.exit_code == 0, done.exception
    assert "with names that differ from the image's" in done.stderr
    files = json.loads((out / "images.json").read_text())["files"]
    assert set(names) <= set(files.values()) and files["a"] == "a.png"
    assert {path.stem for path in (out / "masks").iterdir()} == set(files)
    exported = invoke("export", out, "--format", "coco", "--with-images", "copy", "--out", tmp_path / "coco")
    assert exported.exit_code == 0, exported.exception
    assert set(names) <= {path.name for path in (tmp_path / "coco" / "images").iterdir()}
