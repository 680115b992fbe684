"""Images are read as `model.json` states for the training images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from inprocess import invoke
from learning import picture_of_colours
from PIL import Image

import wsss
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import read_image, write_png


@pytest.fixture
def deep_folder(tmp_path: Path) -> Path:
    """A 16-bit copy of a picture, in the upper half of the range of 12 bits."""
    folder = tmp_path / "deep"
    folder.mkdir()
    values = picture_of_colours().astype(np.uint16)[..., 0] * 8 + 2048
    Image.fromarray(values).save(folder / "a.tif", save_all=True, append_images=[Image.fromarray(values[::-1])])
    return folder


def with_reading(model: Path, reading: dict[str, object], folder: Path) -> Path:
    """Write a copy of a network that states how its training images were read."""
    folder.mkdir()
    description = json.loads((model / "model.json").read_text()) | {"reading": reading}
    (folder / "model.json").write_text(json.dumps(description))
    (folder / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    return folder


def test_images_are_read_like_the_training_images(model: Path, deep_folder: Path, tmp_path: Path) -> None:
    """`model.json` states scaling and page; another scaling, or none, is another result."""
    reading = {"scaling": [2048, 4088], "page": 1}
    trained = with_reading(model, reading, tmp_path / "trained")
    grey = np.repeat(picture_of_colours()[..., :1], 3, axis=2)
    plain = wsss.load_segmenter(model, device="cpu")
    expected = plain(grey)
    assert np.array_equal(wsss.load_segmenter(trained, device="cpu")(deep_folder / "a.tif"), expected)
    with Image.open(deep_folder / "a.tif") as opened:
        assert np.array_equal(wsss.load_segmenter(trained, device="cpu")(opened), expected)
    with pytest.raises(InvalidInput) as error:
        plain(deep_folder / "a.tif")
    assert error.value.found == "2 pages"

    done = invoke("predict", "--weights", trained, "--images", deep_folder, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert np.array_equal(read_mask(tmp_path / "out" / "masks" / "a.png"), expected)
    assert json.loads((tmp_path / "out" / "images.json").read_text())["reading"] == reading
    exported = invoke("export", tmp_path / "out", "--format", "overlay", "--out", tmp_path / "overlay", "--no-legend")
    assert exported.exit_code == 0, exported.output
    overlay = read_image(tmp_path / "overlay" / "a.png").astype(int)
    background = (expected == 0)[5:-5, 5:-5]
    assert (np.ptp(overlay, axis=2)[5:-5, 5:-5][background] > 0).mean() < 0.5  # the grey image, except outlines

    settings = ["--page", 2, "--set", "scaling=[2048, 4088]"]
    done = invoke("predict", "--weights", model, "--images", deep_folder, "--out", tmp_path / "second", *settings)
    assert done.exit_code == 0, done.output
    assert np.array_equal(read_mask(tmp_path / "second" / "masks" / "a.png"), plain(grey[::-1].copy()))


def test_a_page_applies_to_tiffs_only(model: Path, deep_folder: Path, tmp_path: Path) -> None:
    reading = {"scaling": [2048, 4088], "page": 2}
    trained = with_reading(model, reading, tmp_path / "trained")
    write_png(deep_folder / "0.png", picture_of_colours())
    arguments = ["predict", "--weights", trained, "--images", deep_folder, "--out", tmp_path / "out"]
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    segment, plain = wsss.load_segmenter(trained, device="cpu"), wsss.load_segmenter(model, device="cpu")
    upside_down = np.repeat(picture_of_colours()[::-1, :, :1], 3, axis=2)
    for file, pixels in (("0.png", picture_of_colours()), ("a.tif", upside_down)):
        expected = plain(np.ascontiguousarray(pixels))
        assert np.array_equal(read_mask((tmp_path / "out" / "masks" / file).with_suffix(".png")), expected)
        assert np.array_equal(segment(deep_folder / file), expected)
        with Image.open(deep_folder / file) as opened:
            assert np.array_equal(segment(opened), expected)
    assert json.loads((tmp_path / "out" / "images.json").read_text())["reading"] == reading
    exported = invoke("export", tmp_path / "out", "--format", "overlay", "--out", tmp_path / "overlay", "--no-legend")
    assert exported.exit_code == 0, exported.output
    assert {path.name for path in (tmp_path / "overlay").glob("*.png")} >= {"0.png", "a.png"}

    Image.fromarray(picture_of_colours()).save(deep_folder / "one.tif")
    failed = str(invoke(*arguments).exception)
    assert "one.tif" in failed and "--page" in failed and "got 2" in failed
    done = invoke(*arguments[:-1], tmp_path / "first", "--page", 1, "--set", "scaling=[0, 255]")
    assert done.exit_code == 0, done.output
