"""Invalid arguments of `load_segmenter` and ``wsss predict``, and images that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inprocess import invoke
from PIL import Image

import wsss
from wsss.cli.main import _call
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png
from wsss.predictor import Predictor


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--images", "photographs"], "Missing option '--weights'"),
        (["--weights", "nowhere", "--images", "photographs"], "--weights nowhere: no such folder"),
        (
            ["--weights", "photographs", "--images", "photographs"],
            "photographs: no model in this folder (model.json is missing)",
        ),
        (["--weights", "run", "--images", "photographs"], "There is a model in run/segment."),
        (["--weights", "model/model.json", "--images", "photographs"], "That is a file; its folder is model/"),
        (["--weights", "model", "--images", "empty"], "empty: no images; expected files of the formats .jpg"),
        (["--weights", "model", "--images", "photographs/a.png"], "a.png: not a folder; expected a folder of images"),
        (["--weights", "model", "--images", "nowhere"], "no such file or folder: nowhere"),
        (["--weights", "model", "--images", "outer"], "There are images in subfolders; use --recursive"),
        (["--weights", "model", "--recursive"], "recursive requires images, a folder"),
        (["--weights", "model"], "a dataset is required"),
        (["--segmenter", "model", "--images", "photographs"], "'--segmenter'. Did you mean '--weights'?"),
        (
            ["--weights", "model", "--images", "photographs", "--labels", "restrict"],
            "restrict requires splits of a dataset",
        ),
        (
            ["--weights", "model", "--images", "photographs", "--data.classes", "[cat]"],
            "--data.classes: no effect, because predict with --images reads no dataset.",
        ),
        (["--weights", "model", "--images", "photographs", "--data.rot", "x"], "or --images to use the dataset."),
        (["--weights", "model", "--images", "raw"], "a.cr2 (.cr2 is a raw camera image"),
    ],
)
def test_wrong_usage_of_predict(
    model: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    named: str,
) -> None:
    here = photographs.parent
    for name in ("empty", "raw"):
        (here / name).mkdir()
    for name in ("a.cr2", "b.jp2"):
        (here / "raw" / name).write_bytes(b"")
    (here / "model").symlink_to(model)
    for stage, kind in (("classify", "classifier"), ("segment", "segmenter"), ("broken", None)):
        (here / "run" / stage).mkdir(parents=True)
        (here / "run" / stage / "model.json").write_text(json.dumps({"kind": kind}) if kind else "no JSON")
    write_png(here / "outer" / "inner" / "a.png", np.zeros((4, 4, 3), np.uint8))
    monkeypatch.chdir(here)
    assert _call(["predict", *options, "--out", "out"]) == 2
    printed = capsys.readouterr()
    assert named in printed.err and "Traceback" not in printed.err and not printed.out
    assert not (here / "out").exists()


def test_scaling_without_a_folder_of_images_is_refused(model: Path, tmp_path: Path) -> None:
    done = invoke("predict", "--weights", model, "--data.root", tmp_path, "--out", tmp_path / "o", "--bands", "3,2,1")
    assert isinstance(done.exception, InvalidInput)
    assert "bands" in done.exception.problem and "images" in done.exception.problem


def test_invalid_pillow_images(model: Path, tmp_path: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu")
    path = tmp_path / "x.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    closed = Image.open(path)
    closed.close()
    for image in (Image.open(path), closed, Image.new("RGB", (0, 5)), Image.new("F", (4, 4))):
        with pytest.raises(InvalidInput) as error:
            segment(image)
        assert error.value.subject == "image"


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (np.zeros((4, 4), np.uint8), "(4, 4)"),
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((0, 4, 3), np.uint8), "(0, 4, 3)"),
        (None, "NoneType"),
        ([], "list"),
    ],
)
def test_objects_that_are_no_images(model: Path, image: Any, named: str) -> None:
    with pytest.raises(InvalidInput) as error:
        wsss.load_segmenter(model, device="cpu")(image)
    assert error.value.subject == "image" and named in (error.value.problem or str(error.value.found))


@pytest.mark.parametrize("scales", [(0,), 1.0, 2, "1", np.array(0.5), {1.0: 2}])
def test_invalid_scales(model: Path, scales: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        wsss.load_segmenter(model, device="cpu")(np.zeros((4, 4, 3), np.uint8), scales=scales)
    assert str(error.value.subject).partition(".")[0] == "scales"
    with pytest.raises(InvalidInput) as error:
        wsss.load_segmenter(model, scales=scales)
    assert str(error.value.subject).partition(".")[0] == "scales"


def test_invalid_arguments_in_python(model: Path, tmp_path: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu")
    assert isinstance(segment, Predictor)
    assert segment(np.zeros((4, 4, 3), np.uint8), scales=np.array([0.5, 1])).shape == (4, 4)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput) as error:
        segment(tmp_path / "nowhere.png")
    assert error.value.subject == str(tmp_path / "nowhere.png")
    with pytest.raises(InvalidInput) as error:
        wsss.load_segmenter(model, max_side=1)
    assert (error.value.subject, error.value.found) == ("max_side", 1)
    with pytest.raises(InvalidInput) as error:
        wsss.load_segmenter(model, device="gpu")
    assert (error.value.subject, error.value.found, error.value.allowed) == ("device", "gpu", ("auto", "cpu", "cuda"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "segment").symlink_to(model)
    with pytest.raises(InvalidInput) as error:
        wsss.load_segmenter(tmp_path / "run")
    assert str(tmp_path / "run" / "segment") in str(error.value.hint)


def test_tiles_that_no_image_exceeds_are_refused_where_they_are_set(model: Path) -> None:
    """Options of a call may make the tiles of `load_segmenter` unnecessary."""
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    segment = wsss.load_segmenter(model, device="cpu", max_side=64, tile=64, overlap=32, scales=(1, 1.5))
    plain = wsss.load_segmenter(model, device="cpu", max_side=64)
    assert np.array_equal(segment(image, scales=(1,)), plain(image))
    assert np.array_equal(segment(image, scales=(1,), max_side=48), plain(image, max_side=48))
    for call in (
        lambda: wsss.load_segmenter(model, device="cpu", max_side=64, tile=64),
        lambda: segment(image, scales=(1,), max_side=64, tile=64),
        lambda: plain(image, max_side=64, tile=128),
    ):
        with pytest.raises(InvalidInput) as error:
            call()
        assert error.value.problem.startswith("tile: ")
    with pytest.raises(InvalidInput) as error:
        segment(image, overlap=48)
    assert error.value.problem.startswith("overlap: ")
