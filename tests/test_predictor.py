"""`load_segmenter`, and `wsss predict` with weights and a folder of images instead of a dataset."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from learning import picture_of_colours, random_segmenter
from PIL import Image
from toycli import environment

import wsss
from wsss.cli.main import _call, cli
from wsss.errors import InvalidInput, RunFailed
from wsss.io.rasters import image_kinds
from wsss.io.rasters.arrays import read_arrays
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import read_image, write_png
from wsss.predictor import Predictor


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random network, without other files."""
    return random_segmenter(tmp_path_factory.mktemp("model"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A PNG, a rotated JPEG and a grey TIFF, and two images in subfolders."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    write_png(folder / "a.png", picture_of_colours())
    write_png(folder / "deep" / "er" / "a.png", generator.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    write_png(folder / "deep" / "c d.png", generator.integers(0, 255, (20, 33, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(generator.integers(0, 255, (24, 44, 3), dtype=np.uint8))
    turned.save(folder / "turned.jpg", exif=exif)
    Image.fromarray(generator.integers(0, 255, (25, 26), dtype=np.uint8)).save(folder / "grey.tif")
    return folder


@pytest.fixture
def deep_folder(tmp_path: Path) -> Path:
    """A 16-bit copy of a picture, in the upper half of the range of 12 bits."""
    folder = tmp_path / "deep"
    folder.mkdir()
    values = picture_of_colours().astype(np.uint16)[..., 0] * 8 + 2048
    Image.fromarray(values).save(folder / "a.tif", save_all=True, append_images=[Image.fromarray(values[::-1])])
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_the_function_equals_the_command(model: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("predict", "--weights", model, "--images", photographs, "--out", out, "--save-probabilities")
    assert done.exit_code == 0, done.output
    assert "skipped; use --recursive to include them" in done.stderr
    segment = wsss.load_segmenter(model, device="cpu")
    assert segment.values == {"background": 0, "red": 40, "green": 90} and segment.device == "cpu"
    sizes = {"a": (40, 30), "turned": (44, 24), "grey": (25, 26)}
    assert {path.stem for path in (out / "masks").iterdir()} == set(sizes)
    classes: set[int] = set()
    for file in ("a.png", "turned.jpg", "grey.tif"):
        name = Path(file).stem
        written = read_mask(out / "masks" / f"{name}.png")
        assert written.shape == sizes[name]
        classes |= set(np.unique(written).tolist())
        with Image.open(photographs / file) as opened:
            for image in (photographs / file, str(photographs / file), opened, read_image(photographs / file)):
                mask = segment(image)
                assert mask.dtype == np.uint8 and np.array_equal(mask, written)
        probabilities = segment.probabilities(photographs / file)
        assert probabilities.dtype == np.float32 and probabilities.shape == (3, *sizes[name])
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
        kept = read_arrays(out / "probabilities" / f"{name}.npz")["probabilities"]
        assert np.array_equal(probabilities.astype(np.float16), kept)
    assert len(classes) > 1 and classes <= {0, 40, 90}


def test_options_of_a_prediction(model: Path, photographs: Path, tmp_path: Path) -> None:
    options = ["--scales", "1,0.5", "--flip", "--max-side", "32"]
    done = run("predict", "--weights", model, "--images", photographs, "--out", tmp_path / "out", *options)
    assert done.exit_code == 0, done.output
    written = read_mask(tmp_path / "out" / "masks" / "a.png")
    plain = wsss.load_segmenter(model, device="cpu")
    multiscale = wsss.load_segmenter(model, device="cpu", scales=(1, 0.5), flip=True, max_side=32)
    image = photographs / "a.png"
    assert np.array_equal(multiscale(image), written)
    assert np.array_equal(plain(image, scales=(1, 0.5), flip=True, max_side=32), written)
    assert not np.array_equal(plain.probabilities(image), multiscale.probabilities(image))
    unflipped = plain.probabilities(image, scales=(1, 0.5), max_side=32)
    assert np.array_equal(multiscale.probabilities(image, flip=False), unflipped)


def test_subfolders_become_part_of_the_id(model: Path, photographs: Path, tmp_path: Path) -> None:
    arguments = ["predict", "--weights", model, "--images", photographs, "--recursive"]
    done = run(*arguments, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"]["images"] == 5
    masks = sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir())
    assert masks == ["a", "deep__c d", "deep__er__a", "grey", "turned"]
    files = json.loads((tmp_path / "out" / "images.json").read_text())["files"]
    assert files["deep__er__a"] == "deep/er/a.png" and set(files) == set(masks)
    write_png(photographs / "deep__c d.png", np.zeros((4, 4, 3), np.uint8))
    done = run(*arguments, "--out", tmp_path / "again")
    assert done.exit_code == 0, done.output
    files = json.loads((tmp_path / "again" / "images.json").read_text())["files"]
    assert {"deep__c d.png", "deep/c d.png"} < set(files.values()) and len(files) == 6


def test_predictions_can_be_exported_without_a_dataset(model: Path, photographs: Path, tmp_path: Path) -> None:
    arguments = ["predict", "--weights", model, "--images", photographs, "--recursive", "--out", tmp_path / "out"]
    assert run(*arguments).exit_code == 0
    options = ["--format", "voc", "--with-images", "copy", "--ids", "deep__er__a,a"]
    done = run("export", tmp_path / "out", *options, "--out", tmp_path / "voc")
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "voc" / "classes.txt").read_text() == "40 red\n90 green\n"
    assert (tmp_path / "voc" / "ImageSets/Segmentation/default.txt").read_text() == "deep/er/a\na\n"
    copied = (tmp_path / "voc" / "JPEGImages" / "deep/er/a.png").read_bytes()
    photographs.rename(tmp_path / "moved")
    done = run("export", tmp_path / "out", *options, "--out", tmp_path / "again")
    assert isinstance(done.exception, InvalidInput)
    assert "deep__er__a" in done.exception.message and "--with-images" in done.exception.message
    photographs = tmp_path / "moved"
    done = run("export", tmp_path / "out", *options, "--images", photographs, "--out", tmp_path / "again")
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "again" / "JPEGImages" / "deep/er/a.png").read_bytes() == copied
    assert copied == (photographs / "deep/er/a.png").read_bytes()


@pytest.mark.parametrize("options", [("--classes", "no.txt"), ("--images", "no"), ("--images", "empty")])
def test_invalid_options_of_an_export(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, str]
) -> None:
    assert run("predict", "--weights", model, "--images", photographs, "--out", tmp_path / "out").exit_code == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = run("export", "out", "--format", "coco", "--out", "coco", *options)
    assert isinstance(done.exception, InvalidInput) and done.exception.message.startswith(" ".join(options))
    assert not (tmp_path / "coco").exists()


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
        (["--weights", "model/model.json", "--images", "photographs"], "That is a file; its folder is model."),
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


def test_predicting_into_the_folder_of_images_is_an_error(model: Path, photographs: Path) -> None:
    before = sorted(photographs.rglob("*"))
    done = run("predict", "--weights", model, "--images", photographs, "--out", photographs / "x")
    assert isinstance(done.exception, InvalidInput)
    assert sorted(photographs.rglob("*")) == before


@pytest.mark.parametrize("batch_size", [1, 3])
def test_invalid_images_do_not_stop_others(model: Path, photographs: Path, tmp_path: Path, batch_size: int) -> None:
    (photographs / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (photographs / "b.png").write_bytes((photographs / "a.png").read_bytes()[:-700])  # with a valid header
    out = tmp_path / "out"
    arguments = ["predict", "--weights", model, "--images", photographs, "--out", out]
    arguments += ["--batch-size", str(batch_size)]
    done = run(*arguments)
    assert isinstance(done.exception, RunFailed)
    assert all(name in done.exception.message for name in ("2 of 5", "0.png", "b.png"))
    assert {path.stem for path in (out / "masks").iterdir()} == {"a", "grey", "turned"}
    record = json.loads((out / "images.json").read_text())
    assert set(record["files"]) == {"a", "grey", "turned"}
    assert {name: why["file"] for name, why in record["failed"].items()} == {"0": "0.png", "b": "b.png"}
    assert all(why["reason"].startswith(str(photographs / why["file"])) for why in record["failed"].values())
    exported = run("export", out, "--format", "coco", "--out", tmp_path / "coco")
    assert exported.exit_code == 0, exported.exception
    assert "images that could not be predicted: 0, b" in exported.stderr
    images = json.loads((tmp_path / "coco" / "annotations.json").read_text())["images"]
    assert {image["file_name"] for image in images} == {"a.png", "grey.tif", "turned.jpg"}
    (photographs / "b.png").unlink()
    assert "0.png" in str(run(*arguments).exception)
    (photographs / "0.png").unlink()
    assert run(*arguments).exit_code == 0
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
    assert run(*arguments).exit_code == 1 and set(predicted) == {"a", "b", "removed", "grey", "turned"}
    modified = (out / "masks" / "a.png").stat().st_mtime_ns
    (photographs / "b.png").write_bytes(content)
    (photographs / "removed.png").unlink()
    Image.new("RGB", (31, 17), "red").save(photographs / "grey.tif")
    predicted.clear()
    done = run(*arguments)
    assert done.exit_code == 0, done.exception
    assert set(predicted) == {"b", "grey"}
    assert (out / "masks" / "a.png").stat().st_mtime_ns == modified
    assert {path.stem for path in (out / "masks").iterdir()} == {"a", "b", "grey", "turned"}
    assert read_mask(out / "masks" / "grey.png").shape == (17, 31)
    fresh = tmp_path / "fresh"
    assert run("predict", "--weights", model, "--images", photographs, "--out", fresh).exit_code == 0
    for file in sorted(path.relative_to(fresh) for path in [*fresh.glob("masks/*"), fresh / "images.json"]):
        assert (out / file).read_bytes() == (fresh / file).read_bytes(), file
    (photographs / "b.png").write_bytes(content[:-700])
    assert run(*arguments).exit_code == 1
    predicted.clear()
    assert run(*arguments, "--flip").exit_code == 1
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
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    [note] = [line for line in done.stderr.splitlines() if "image files in" in line]
    assert [name for name in ("image.psd", "photo.HEIC", "raw.cr2", "x.jxl") if name in note] == [
        *("image.psd", "photo.HEIC", "raw.cr2")
    ]
    assert "wsss[heic]" in note
    [hidden] = [line for line in done.stderr.splitlines() if "hidden images" in line]
    assert hidden.endswith(": .b.png.")
    done = run(*arguments, "--recursive", "--out", tmp_path / "deep")
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
    done = run("predict", "--weights", model, "--images", photographs, "--out", out, "--save-probabilities")
    assert done.exit_code == 0, done.exception
    assert "with names that differ from the image's" in done.stderr
    files = json.loads((out / "images.json").read_text())["files"]
    assert set(names) <= set(files.values()) and files["a"] == "a.png"
    assert {path.stem for path in (out / "masks").iterdir()} == set(files)
    exported = run("export", out, "--format", "coco", "--with-images", "copy", "--out", tmp_path / "coco")
    assert exported.exit_code == 0, exported.exception
    assert set(names) <= {path.name for path in (tmp_path / "coco" / "images").iterdir()}


def test_invalid_pillow_images(model: Path, tmp_path: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu")
    path = tmp_path / "x.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    closed = Image.open(path)
    closed.close()
    for image in (Image.open(path), closed, Image.new("RGB", (0, 5)), Image.new("F", (4, 4))):
        with pytest.raises(InvalidInput, match=r"^image: "):
            segment(image)


@pytest.mark.filterwarnings("error")
def test_arrays_of_any_memory_layout(model: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu")
    picture = picture_of_colours()
    expected = segment.probabilities(picture)
    read_only = picture.copy()
    read_only.flags.writeable = False
    rgba = np.zeros((40, 30, 4), np.uint8)
    rgba[..., :3] = picture
    layouts = {
        "reversed BGR": picture[..., ::-1].copy()[..., ::-1],
        "upside down": picture[::-1].copy()[::-1],
        "read-only": read_only,
        "Fortran order": np.asfortranarray(picture),
        "view of RGBA": rgba[..., :3],
        "channels first": np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0),
    }
    options = {"scales": (1, 0.5), "flip": True}
    expected_multiscale = segment.probabilities(picture, **options)
    for name, image in layouts.items():
        assert np.array_equal(segment.probabilities(image), expected), name
        assert np.array_equal(segment.probabilities(image, **options), expected_multiscale), name
        assert np.array_equal(image, picture), name
    assert not read_only.flags.writeable
    uniform = np.broadcast_to(np.array((255, 0, 0), np.uint8), (20, 30, 3))
    assert np.array_equal(segment(uniform), segment(uniform.copy()))


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
    assert error.value.subject == "image" and named in error.value.message


@pytest.mark.parametrize("scales", [(0,), 1.0, 2, "1", np.array(0.5), {1.0: 2}])
def test_invalid_scales(model: Path, scales: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^scales"):
        wsss.load_segmenter(model, device="cpu")(np.zeros((4, 4, 3), np.uint8), scales=scales)
    with pytest.raises(InvalidInput, match=r"^scales"):
        wsss.load_segmenter(model, scales=scales)


def test_invalid_arguments_in_python(model: Path, tmp_path: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu")
    assert isinstance(segment, Predictor)
    assert segment(np.zeros((4, 4, 3), np.uint8), scales=np.array([0.5, 1])).shape == (4, 4)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"nowhere\.png"):
        segment(tmp_path / "nowhere.png")
    with pytest.raises(InvalidInput, match="max_side"):
        wsss.load_segmenter(model, max_side=1)
    with pytest.raises(InvalidInput) as error:
        wsss.load_segmenter(model, device="gpu")
    assert (error.value.subject, error.value.found, error.value.allowed) == ("device", "gpu", ("auto", "cpu", "cuda"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "segment").symlink_to(model)
    with pytest.raises(InvalidInput) as error:
        wsss.load_segmenter(tmp_path / "run")
    assert str(tmp_path / "run" / "segment") in str(error.value.hint)


def test_importing_the_package_imports_no_heavy_packages() -> None:
    text = (
        "import sys, wsss\n"
        "assert wsss.__version__\n"
        "print([name for name in ('torch', 'numpy', 'PIL', 'cv2', 'pydantic') if name in sys.modules])\n"
        "wsss.load_segmenter\n"
        "print('torch' in sys.modules)\n"
        "try:\n    wsss.nothing\n"
        "except AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False", "module 'wsss' has no attribute 'nothing'"]


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

    done = run("predict", "--weights", trained, "--images", deep_folder, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert np.array_equal(read_mask(tmp_path / "out" / "masks" / "a.png"), expected)
    assert json.loads((tmp_path / "out" / "images.json").read_text())["reading"] == reading
    exported = run("export", tmp_path / "out", "--format", "overlay", "--out", tmp_path / "overlay", "--no-legend")
    assert exported.exit_code == 0, exported.output
    overlay = read_image(tmp_path / "overlay" / "a.png").astype(int)
    background = (expected == 0)[5:-5, 5:-5]
    assert (np.ptp(overlay, axis=2)[5:-5, 5:-5][background] > 0).mean() < 0.5  # the grey image, except outlines

    settings = ["--page", 2, "--set", "scaling=[2048, 4088]"]
    done = run("predict", "--weights", model, "--images", deep_folder, "--out", tmp_path / "second", *settings)
    assert done.exit_code == 0, done.output
    assert np.array_equal(read_mask(tmp_path / "second" / "masks" / "a.png"), plain(grey[::-1].copy()))


def test_an_inherited_page_applies_to_tiffs_only(model: Path, deep_folder: Path, tmp_path: Path) -> None:
    reading = {"scaling": [2048, 4088], "page": 2}
    trained = with_reading(model, reading, tmp_path / "trained")
    write_png(deep_folder / "0.png", picture_of_colours())
    arguments = ["predict", "--weights", trained, "--images", deep_folder, "--out", tmp_path / "out"]
    done = run(*arguments)
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
    exported = run("export", tmp_path / "out", "--format", "overlay", "--out", tmp_path / "overlay", "--no-legend")
    assert exported.exit_code == 0, exported.output
    assert {path.name for path in (tmp_path / "overlay").glob("*.png")} >= {"0.png", "a.png"}

    Image.fromarray(picture_of_colours()).save(deep_folder / "one.tif")
    failed = str(run(*arguments).exception)
    assert "no such page; expected data.page (wsss predict: --page) from 1 to 1, got 2" in failed
    done = run(*arguments[:-1], tmp_path / "first", "--page", 1, "--set", "scaling=[0, 255]")
    assert done.exit_code == 0, done.output


def test_scaling_without_a_folder_of_images_is_refused(model: Path, tmp_path: Path) -> None:
    done = run("predict", "--weights", model, "--data.root", tmp_path, "--out", tmp_path / "o", "--bands", "3,2,1")
    assert isinstance(done.exception, InvalidInput) and "bands require images" in done.exception.message


def test_tiles_of_the_function_are_those_of_the_command(model: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    write_png(tmp_path / "photographs" / "a.png", image)
    out, folder = tmp_path / "out", tmp_path / "photographs"
    sides = ("--tile", 64, "--overlap", 32)
    done = run("predict", "--weights", model, "--images", folder, "--out", out, "--save-probabilities", *sides)
    assert done.exit_code == 0, done.output
    segment = wsss.load_segmenter(model, device="cpu", tile=64, overlap=32)
    assert np.array_equal(read_mask(out / "masks" / "a.png"), segment(image))
    probabilities = segment.probabilities(image)
    stored = read_arrays(out / "probabilities" / "a.npz")["probabilities"]
    np.testing.assert_allclose(probabilities, stored, atol=1e-3)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    for options, subject in (({"tile": 100}, "tile"), ({"tile": 64, "overlap": 48}, "overlap"), ({"overlap": 32}, "")):
        with pytest.raises(InvalidInput) as error:
            wsss.load_segmenter(model, device="cpu", **options)
        assert subject in str(error.value)


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
        with pytest.raises(InvalidInput, match="no image exceeds"):
            call()
    with pytest.raises(InvalidInput, match="at most half of tile"):
        segment(image, overlap=48)
