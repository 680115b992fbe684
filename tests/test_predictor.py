"""A trained network as a function, and `wsss predict` with nothing but weights and a folder of images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from learning import picture_of_colours as _picture
from learning import random_segmenter
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
    """An untrained network, with random head, in a folder that holds nothing else."""
    return random_segmenter(tmp_path_factory.mktemp("model"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A PNG, a JPEG that lies on its side, one in grey, and two in a folder below."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    write_png(folder / "a.png", _picture())
    write_png(folder / "deep" / "er" / "a.png", generator.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    write_png(folder / "deep" / "c d.png", generator.integers(0, 255, (20, 33, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(generator.integers(0, 255, (24, 44, 3), dtype=np.uint8))
    turned.save(folder / "turned.jpg", exif=exif)
    Image.fromarray(generator.integers(0, 255, (25, 26), dtype=np.uint8)).save(folder / "grey.tif")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def test_three_lines_do_what_the_command_does(model: Path, photographs: Path, tmp_path: Path) -> None:
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
    fancy = wsss.load_segmenter(model, device="cpu", scales=(1, 0.5), flip=True, max_side=32)
    image = photographs / "a.png"
    assert np.array_equal(fancy(image), written)
    assert np.array_equal(plain(image, scales=(1, 0.5), flip=True, max_side=32), written)
    assert not np.array_equal(plain.probabilities(image), fancy.probabilities(image))
    assert np.array_equal(
        fancy.probabilities(image, flip=False), plain.probabilities(image, scales=(1, 0.5), max_side=32)
    )


def test_folders_below_become_part_of_the_id(model: Path, photographs: Path, tmp_path: Path) -> None:
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


def test_what_was_predicted_can_be_exported_without_a_dataset(model: Path, photographs: Path, tmp_path: Path) -> None:
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
    assert "deep__er__a: there is no image to put beside its mask (--with-images); its image is not known" in str(
        done.exception
    )
    photographs = tmp_path / "moved"
    done = run("export", tmp_path / "out", *options, "--images", photographs, "--out", tmp_path / "again")
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "again" / "JPEGImages" / "deep/er/a.png").read_bytes() == copied
    assert copied == (photographs / "deep/er/a.png").read_bytes()


def test_options_that_images_json_makes_useless(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("predict", "--weights", model, "--images", photographs, "--out", tmp_path / "out").exit_code == 0
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    arguments = ["export", "out", "--format", "coco", "--out", "coco"]
    for options, message in (
        (["--classes", "no.txt"], "--classes no.txt: the classes of these masks are known from out/images.json"),
        (["--images", "no"], "--images no: no such folder"),
        (["--images", "empty"], "--images empty: no matching image for 3 masks"),
    ):
        done = run(*arguments, *options)
        assert isinstance(done.exception, InvalidInput) and message in str(done.exception)
    assert not (tmp_path / "coco").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "photographs"], "Missing option '--weights'"),
        (["--weights", "nowhere", "--images", "photographs"], "--weights nowhere: no such folder"),
        (["--weights", "photographs", "--images", "photographs"], "photographs: no model here (model.json is missing)"),
        (["--weights", "run", "--images", "photographs"], "There is one in run/segment: name that folder."),
        (["--weights", "model/model.json", "--images", "photographs"], "That is a file; its folder is model."),
        (["--weights", "model", "--images", "empty"], "empty: no image; expected files of the formats .jpg"),
        (["--weights", "model", "--images", "photographs/a.png"], "a.png: not a folder; expected a folder of images"),
        (["--weights", "model", "--images", "nowhere"], "no such file or folder: nowhere"),
        (["--weights", "model", "--images", "outer"], "There are images in subfolders; use --recursive"),
        (["--weights", "model", "--recursive"], "recursive is for a folder of images"),
        (["--weights", "model"], "no dataset is given"),
        (["--segmenter", "model", "--images", "photographs"], "'--segmenter'. Did you mean '--weights'?"),
        (["--weights", "model", "--images", "photographs", "--labels", "restrict"], "has no image-level labels"),
        (
            ["--weights", "model", "--images", "photographs", "--data.classes", "[cat]"],
            "--data.classes: no effect, since predict with --images reads no dataset.",
        ),
        (["--weights", "model", "--images", "photographs", "--data.rot", "x"], "or --images to use the dataset."),
        (["--weights", "model", "--images", "raw"], "a.cr2 (.cr2 is a raw camera image"),
    ],
)  # fmt: skip
def test_wrong_usage_of_predict(
    model: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
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
    said = capsys.readouterr()
    assert message in said.err and "Traceback" not in said.err and not said.out
    assert not (here / "out").exists()


def test_a_refused_prediction_leaves_the_images_alone(model: Path, photographs: Path) -> None:
    before = sorted(photographs.rglob("*"))
    out = photographs / "x"
    refused = run("predict", "--weights", model, "--images", photographs, "--out", out)
    assert isinstance(refused.exception, InvalidInput) and "would change the input" in str(refused.exception)
    assert sorted(photographs.rglob("*")) == before


@pytest.mark.parametrize("batch_size", [1, 3])
def test_broken_images_do_not_keep_others_from_their_masks(
    model: Path, photographs: Path, tmp_path: Path, batch_size: int
) -> None:
    (photographs / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (photographs / "b.png").write_bytes((photographs / "a.png").read_bytes()[:-700])  # its header is whole
    out = tmp_path / "out"
    arguments = ["predict", "--weights", model, "--images", photographs, "--out", out]
    arguments += ["--batch-size", str(batch_size)]
    done = run(*arguments)
    assert isinstance(done.exception, RunFailed) and "finished work is kept" in str(done.exception.hint)
    assert "2 of 5 images failed:\n" in done.exception.message
    assert "0.png" in done.exception.message and "b.png" in done.exception.message
    assert {path.stem for path in (out / "masks").iterdir()} == {"a", "grey", "turned"}
    record = json.loads((out / "images.json").read_text())
    assert set(record["files"]) == {"a", "grey", "turned"}
    assert {name: why["file"] for name, why in record["failed"].items()} == {"0": "0.png", "b": "b.png"}
    assert all(why["reason"].startswith(str(photographs / why["file"])) for why in record["failed"].values())
    exported = run("export", out, "--format", "coco", "--out", tmp_path / "coco")
    assert exported.exit_code == 0, exported.exception
    assert "images that could not be predicted have no mask: 0, b" in exported.stderr
    found = json.loads((tmp_path / "coco" / "annotations.json").read_text())["images"]
    assert {one["file_name"] for one in found} == {"a.png", "grey.tif", "turned.jpg"}
    (photographs / "b.png").unlink()
    alone = run(*arguments)
    assert "0.png: not an image" in str(alone.exception) and "failed:" in str(alone.exception)
    (photographs / "0.png").unlink()
    assert run(*arguments).exit_code == 0
    assert "failed" not in json.loads((out / "images.json").read_text())


def test_a_repaired_image_alone_is_predicted_again(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also masks of images that changed or went are made again or discarded; a network that changed discards all."""
    from wsss.stages.common import predict_batch

    seen: list[str] = []
    one_batch = predict_batch.predict_batch
    monkeypatch.setattr(
        predict_batch, "predict_batch", lambda *given: (seen.extend(one.id for one in given[2]), one_batch(*given))
    )
    whole = (photographs / "a.png").read_bytes()
    (photographs / "b.png").write_bytes(whole[:-700])
    write_png(photographs / "gone.png", np.zeros((9, 9, 3), np.uint8))
    out = tmp_path / "out"
    arguments = ["predict", "--weights", model, "--images", photographs, "--out", out]
    assert run(*arguments).exit_code == 1 and set(seen) == {"a", "b", "gone", "grey", "turned"}
    untouched = (out / "masks" / "a.png").stat().st_mtime_ns
    (photographs / "b.png").write_bytes(whole)
    (photographs / "gone.png").unlink()
    Image.new("RGB", (31, 17), "red").save(photographs / "grey.tif")
    seen.clear()
    done = run(*arguments)
    assert done.exit_code == 0, done.exception
    assert set(seen) == {"b", "grey"}
    assert (out / "masks" / "a.png").stat().st_mtime_ns == untouched
    assert {path.stem for path in (out / "masks").iterdir()} == {"a", "b", "grey", "turned"}
    assert read_mask(out / "masks" / "grey.png").shape == (17, 31)
    fresh = tmp_path / "fresh"
    assert run("predict", "--weights", model, "--images", photographs, "--out", fresh).exit_code == 0
    for file in sorted(path.relative_to(fresh) for path in [*fresh.glob("masks/*"), fresh / "images.json"]):
        assert (out / file).read_bytes() == (fresh / file).read_bytes(), file
    (photographs / "b.png").write_bytes(whole[:-700])
    assert run(*arguments).exit_code == 1
    seen.clear()
    assert run(*arguments, "--flip").exit_code == 1
    assert set(seen) == {"a", "b", "grey", "turned"}


def test_what_a_folder_of_images_leaves_out_is_named(
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


def test_names_that_cannot_be_those_of_masks(model: Path, photographs: Path, tmp_path: Path) -> None:
    names = ["ü" * 124 + ".png", "a..b.png", "x\ny.png"]
    for name in names:
        write_png(photographs / name, np.zeros((4, 6, 3), np.uint8))
    out = tmp_path / "out"
    done = run("predict", "--weights", model, "--images", photographs, "--out", out, "--save-probabilities")
    assert done.exit_code == 0, done.exception
    assert "named differently from the image" in done.stderr
    files = json.loads((out / "images.json").read_text())["files"]
    assert set(names) <= set(files.values()) and files["a"] == "a.png"
    assert {path.stem for path in (out / "masks").iterdir()} == set(files)
    exported = run("export", out, "--format", "coco", "--with-images", "copy", "--out", tmp_path / "coco")
    assert exported.exit_code == 0, exported.exception
    assert set(names) <= {path.name for path in (tmp_path / "coco" / "images").iterdir()}


def test_images_that_pillow_cannot_give(model: Path, tmp_path: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu")
    path = tmp_path / "x.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    closed = Image.open(path)
    closed.close()
    for image in (Image.open(path), closed):
        with pytest.raises(InvalidInput, match="image: can't be read"):
            segment(image)
    with pytest.raises(InvalidInput, match="image: found no pixels"):
        segment(Image.new("RGB", (0, 5)))


@pytest.mark.filterwarnings("error")
def test_arrays_of_any_layout(model: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu")
    picture = _picture()
    expected = segment.probabilities(picture)
    frozen = picture.copy()
    frozen.flags.writeable = False
    wide = np.zeros((40, 30, 4), np.uint8)
    wide[..., :3] = picture
    layouts = {
        "BGR turned round": picture[..., ::-1].copy()[..., ::-1],
        "upside down": picture[::-1].copy()[::-1],
        "read-only": frozen,
        "Fortran order": np.asfortranarray(picture),
        "a part": wide[..., :3],
        "channels first": np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0),
    }
    for name, image in layouts.items():
        for options in ({}, {"scales": (1, 0.5), "flip": True}):
            found = segment.probabilities(image, **options)
            assert np.array_equal(found, segment.probabilities(picture, **options)), name
        assert np.array_equal(image, picture), name
    assert np.array_equal(segment.probabilities(picture), expected) and not frozen.flags.writeable
    plain = np.broadcast_to(np.array((255, 0, 0), np.uint8), (20, 30, 3))
    assert np.array_equal(segment(plain), segment(plain.copy()))


def test_wrong_usage_in_python(model: Path, tmp_path: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu")
    for image, message in (
        (np.zeros((4, 4), np.uint8), r"found an array \(4, 4\) of uint8; expected \(H, W, 3\) of uint8"),
        (np.zeros((4, 4, 3)), "of float64; expected"),
        (np.zeros((0, 4, 3), np.uint8), "expected"),
        (None, "found NoneType; expected a path, a Pillow image or a NumPy array"),
        (tmp_path / "nowhere.png", "nowhere.png: no such file"),
        (Image.new("F", (4, 4)), "image: floating-point pixels have no defined range"),
    ):
        with pytest.raises(InvalidInput, match=message):
            segment(image)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="scales"):
        segment(np.zeros((4, 4, 3), np.uint8), scales=(0,))
    for scales in (1.0, 2, "1", np.array(0.5), {1.0: 2}):
        with pytest.raises(InvalidInput, match=r"^scales: found .*; allowed .*1\.25"):
            segment(np.zeros((4, 4, 3), np.uint8), scales=scales)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match=r"^scales: found"):
            wsss.load_segmenter(model, scales=scales)  # type: ignore[arg-type]
    assert segment(np.zeros((4, 4, 3), np.uint8), scales=np.array([0.5, 1])).shape == (4, 4)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="max_side"):
        wsss.load_segmenter(model, max_side=1)
    with pytest.raises(InvalidInput, match="device: found 'gpu'; allowed are auto, cpu, cuda"):
        wsss.load_segmenter(model, device="gpu")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "segment").symlink_to(model)
    with pytest.raises(InvalidInput, match=r"There is one in .*segment: name that folder"):
        wsss.load_segmenter(tmp_path / "run")
    assert isinstance(segment, Predictor)


def test_importing_the_package_stays_light() -> None:
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
