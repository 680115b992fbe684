"""Commands on a small pipeline: damaged inputs are refused by name, and cost no finished result."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from flipping import flip
from killing import memory_folder, snapshot
from safetensors.torch import load_file, save_file
from tinyrun import wsss

from wsss.data.synthetic.shapes import Config, generate
from wsss.io.rasters.arrays import read_arrays, write_arrays
from wsss.io.rasters.cams import Cams, write_cams
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import read_image, write_png

PIPELINE = """
name: mini
seed: 0
data: {layout: folder, root: ds}
stages:
  classify:
    uses: classify
    with: &training
      convnet: {widths: [4], wide: 1, stride: 2}
      epochs: 1
      batch_size: 2
      augmentation: {size: 32}
  cam: {uses: cam, needs: [classify], with: {splits: [train, val], scales: [1], stride: 2}}
  pseudo: {uses: pseudo, needs: [cam], with: {preset: pseudo/otsu, splits: [train, val]}}
  segment:
    uses: segment
    needs: [pseudo]
    with: {head: dynunet, unet: {levels: 3, filters: [4, 4, 4], deep_supervision: 0}, steps: 2, batch_size: 2,
      augmentation: {size: 32}}
  predict: {uses: predict, needs: [segment], with: {splits: [val], save_probabilities: true}}
  score: {uses: score, needs: [predict], with: {split: val}}
"""
DATA = ["--data.layout", "folder", "--data.root", "ds"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a dataset ``ds``, a pipeline and its finished run ``R``."""
    with memory_folder(tmp_path_factory.mktemp("runs")) as memory:
        folder = memory / "whole"
        generate(Config(size=32, train=4, val=2, classes=2), folder / "ds")
        (folder / "mini.yaml").write_text(PIPELINE)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            done = run()
        assert done.returncode == 0, done.stderr
        yield folder


@pytest.fixture
def here(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it that a test may damage, as the working directory."""
    copy = finished.parent / "copy"
    subprocess.run(["cp", "-a", str(finished), str(copy)], check=True)
    monkeypatch.chdir(copy)
    yield copy
    shutil.rmtree(copy)


def run(*more: str) -> subprocess.CompletedProcess[str]:
    return wsss("run", "mini.yaml", "--run-dir", "R", "--workers", "0", *more)


def stages(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files of all stages."""
    run_dir = folder / "R"
    return dict(snapshot(run_dir, ignore=lambda name: "/" not in name or name.startswith(("data/", ".wsss"))))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def crop_image(path: Path) -> None:
    write_png(path, read_image(path)[:20])


def crop_mask(path: Path) -> None:
    write_mask(path, read_mask(path)[:20])


def write_unknown_value(path: Path) -> None:
    write_mask(path, np.where(read_mask(path) > 0, 77, 0).astype(np.uint8))


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("images/train_00001.png", Path.unlink, "no image"),
    ("images/train_00001.png", truncate, "broken or truncated"),
    ("images/train_00001.png", replace_by_folder, "not a regular file"),
    ("images/val_00000.png", truncate, "broken or truncated"),
    ("images/val_00000.png", crop_image, "differ in size"),
    ("masks/val_00001.png", crop_mask, "differ in size"),
    ("masks/val_00001.png", write_unknown_value, "unknown mask value"),
    ("labels.csv", Path.unlink, "no image-level labels"),
]


def test_damage_to_the_dataset_costs_no_finished_result(here: Path) -> None:
    """A damaged image is refused before weights are deleted because it changed."""
    before = stages(here)
    for name, damage, words in DAMAGES:
        path = here / "ds" / name
        whole = path.read_bytes()
        damage(path)
        done = run()
        assert done.returncode == 2 and words in done.stderr, (name, damage, done.stderr)
        assert path.stem in done.stderr or name == "labels.csv"
        assert stages(here) == before, (name, damage)
        if path.is_dir():
            path.rmdir()
        path.write_bytes(whole)
    done = run()
    assert done.returncode == 0, done.stderr
    assert stages(here) == before


def test_a_damaged_artifact_is_refused_before_results_are_deleted(here: Path) -> None:
    mask = here / "R/pseudo/masks/train_00001.png"
    whole = stages(here)
    flip(mask, 8 * (mask.stat().st_size - 20))
    before = stages(here)
    done = run("--set", "stages.segment.with.steps=3")
    assert done.returncode == 2 and "pseudo/masks/train_00001.png" in done.stderr, done.stderr
    assert stages(here) == before
    replace_by_folder(here / "R/segment/model.json")
    shutil.rmtree(here / "R/pseudo")
    done = run()
    assert done.returncode == 0 and "model.json is replaced by a folder" in done.stderr, done.stderr
    made = {name: content for name, content in stages(here).items() if not name.endswith("stage.json")}
    made = {name: content for name, content in made.items() if "tensorboard" not in name}
    assert made == {name: whole[name] for name in made}


def test_every_stage_refuses_invalid_inputs(here: Path) -> None:
    """NaN maps, maps of another size and NaN weights would give plausible masks."""
    for name in ("cam", "segment", "classify", "predict"):
        shutil.copytree(here / "R" / name, here / name, ignore=shutil.ignore_patterns("stage.json", "metrics.json"))

    path = here / "cam/cams/train_00001.npz"
    maps = read_arrays(path)
    for change, words in (
        ({"maps": np.full_like(maps["maps"], np.nan)}, "expected finite values in [0, 1], got nan"),
        ({"size": np.array([10, 10])}, "got 10×10"),
    ):
        write_arrays(path, maps | change)
        fixed = ["--set", "policy={name: fixed, foreground: 0.3, background: 0.3}"]
        done = wsss("pseudo", "--cams", "cam", *DATA, *fixed, "--out", "o")
        assert done.returncode != 0 and words in done.stderr and str(path.name) in done.stderr, done.stderr
        assert sorted(path.stem for path in here.glob("o/masks/*")) == ["train_00000", "train_00002", "train_00003"]
        done = wsss("sweep", "--cams", "cam", *DATA, "--split", "train", "--out", "s")
        assert done.returncode != 0 and words in done.stderr
    write_cams(path, Cams(np.ones((1, 16, 16), np.float32), (9,), (32, 32)))
    done = wsss("pseudo", "--cams", "cam", *DATA, "--out", "o2")
    assert done.returncode != 0 and "got 9" in done.stderr

    weights = load_file(here / "segment/model.safetensors")
    first = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    weights[first].view(-1)[0] = torch.nan
    save_file(weights, here / "segment/model.safetensors")
    done = wsss("predict", "--weights", "segment", "--images", "ds/images", "--out", "p")
    assert done.returncode == 2 and f"tensor '{first}'" in done.stderr, done.stderr
    assert not list(here.glob("p/masks/*"))

    text = (here / "classify/model.json").read_text()
    (here / "classify/model.json").write_text(text.replace('"std"', '"deviation"'))
    done = wsss("cam", "--classifier", "classify", *DATA, "--out", "c")
    assert done.returncode == 2 and "model.json" in done.stderr and "std" in done.stderr, done.stderr

    crop_mask(here / "predict/masks/val_00000.png")
    done = wsss("score", "--pred", "predict", *DATA, "--out", "sc")
    assert done.returncode != 0 and "predict/masks/val_00000.png" in done.stderr
    arrays = read_arrays(here / "predict/probabilities/val_00000.npz")
    write_arrays(here / "predict/probabilities/val_00000.npz", arrays | {"probabilities": arrays["probabilities"] * 0})
    write_mask(here / "predict/masks/val_00000.png", read_mask(here / "R/predict/masks/val_00000.png"))
    done = wsss("crf", "--masks", "predict", *DATA, "--splits", "val", "--set", "unary=softmax", "--out", "crf")
    assert done.returncode != 0 and "predict/probabilities/val_00000.npz: row " in done.stderr, done.stderr
    assert [path.stem for path in here.glob("crf/masks/*")] == ["val_00001"]
