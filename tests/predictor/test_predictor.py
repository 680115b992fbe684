"""`load_segmenter`, compared with ``wsss predict``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inprocess import invoke
from learning import picture_of_colours
from PIL import Image
from toycli import environment

import wsss
from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import read_arrays
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import read_image, write_png


def test_the_function_equals_the_command(model: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = invoke("predict", "--weights", model, "--images", photographs, "--out", out, "--save-probabilities")
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


def test_a_predictor_shows_its_classes_and_options(model: Path) -> None:
    segment = wsss.load_segmenter(model, device="cpu", flip=True)
    shown = repr(segment)
    assert repr(segment.classes.names) in shown and "device='cpu'" in shown and "flip=True" in shown


def test_home_folders_are_expanded(model: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(model.parent))
    segment = wsss.load_segmenter(f"~/{model.name}", device="cpu")
    monkeypatch.setenv("HOME", str(photographs))
    assert np.array_equal(segment("~/a.png"), segment(photographs / "a.png"))


def test_options_of_a_prediction(model: Path, photographs: Path, tmp_path: Path) -> None:
    options = ["--scales", "1,0.5", "--flip", "--max-side", "32"]
    done = invoke("predict", "--weights", model, "--images", photographs, "--out", tmp_path / "out", *options)
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


def test_tiles_of_the_function_are_those_of_the_command(model: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    write_png(tmp_path / "photographs" / "a.png", image)
    out, folder = tmp_path / "out", tmp_path / "photographs"
    sides = ("--tile", 64, "--overlap", 32)
    done = invoke("predict", "--weights", model, "--images", folder, "--out", out, "--save-probabilities", *sides)
    assert done.exit_code == 0, done.output
    segment = wsss.load_segmenter(model, device="cpu", tile=64, overlap=32)
    assert np.array_equal(read_mask(out / "masks" / "a.png"), segment(image))
    probabilities = segment.probabilities(image)
    stored = read_arrays(out / "probabilities" / "a.npz")["probabilities"]
    np.testing.assert_allclose(probabilities, stored, atol=1e-3)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    for options, subject, problem in (
        ({"tile": 100}, "tile", ""),
        ({"tile": 64, "overlap": 48}, None, "overlap: "),
        ({"overlap": 32}, None, "overlap requires tile"),
    ):
        with pytest.raises(InvalidInput) as error:
            wsss.load_segmenter(model, device="cpu", **options)
        assert error.value.subject == subject and error.value.problem.startswith(problem)
