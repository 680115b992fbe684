"""Stages on images larger than ``max_side``: results, notes and metrics."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from learning import CLASSES, coloured_dataset, run_stage, write_maps

from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.stages import STAGES
from wsss.stages.common.footprint import image_bytes
from wsss.stages.common.image_size_notes import note_reduced
from wsss.stages.crf import STAGE as CRF
from wsss.stages.crf import CrfStageConfig, _bytes
from wsss.stages.pseudo import STAGE as PSEUDO

FIXED = {"policy": {"name": "fixed", "foreground": 0.5, "background": 0.5}}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Four images of 144 × 176 pixels, and one of 36 × 44."""
    large = coloured_dataset(tmp_path / "data", train=4, val=0, size=(144, 176)).split("train")
    (small,) = coloured_dataset(tmp_path / "small", train=1, val=0).split("train")
    small = Sample("small", small.image, small.labels, small.mask)
    return Dataset("mixed", tmp_path, CLASSES, {"train": (*large, small)})


@pytest.fixture
def masks(tmp_path: Path, data: Dataset) -> Path:
    """The true masks, shifted."""
    folder = tmp_path / "external"
    for sample in data.split("train"):
        truth = read_mask(sample.mask)  # type: ignore[arg-type]
        write_mask(mask_path(folder, sample.id), np.roll(truth, 2, 1))
    return folder


SETTINGS = {"bilateral_sigma_rgb": 20, "bilateral_sigma_xy": 20, "gauss_weight": 1, "name": "mine"}


def test_reduced_images_are_listed_counted_and_logged(tmp_path: Path, data: Dataset, masks: Path) -> None:
    lines: list[str] = []
    config = {**SETTINGS, "max_side": 100}
    result = run_stage(CRF, config, tmp_path / "crf", data, lines=lines, masks=masks)
    expected = {"max_side": 100, "images": 4}
    assert result.metrics["reduced"] == expected
    assert result.provenance["crf_reduced"] == expected and result.provenance["crf"] == "mine"
    ids = [f"train{number}" for number in range(4)]
    assert json.loads((tmp_path / "crf/reduced.json").read_text()) == {"max_side": 100, "images": ids}
    (line,) = [line for line in lines if "downscaled" in line]
    assert "4 of 5 images" in line and "100 pixels" in line and "train0" in line and "small" not in line
    for sample in data.split("train"):
        truth = read_mask(sample.mask)  # type: ignore[arg-type]
        refined = read_mask(mask_path(tmp_path / "crf", sample.id), size=truth.shape)
        shifted = read_mask(mask_path(masks, sample.id))
        assert (refined != truth).mean() < 0.5 * (shifted != truth).mean()


def test_smaller_images_are_not_reduced(tmp_path: Path, data: Dataset, masks: Path) -> None:
    results = {}
    for side in (176, 1024, None):
        out = tmp_path / f"crf-{side}"
        results[side] = run_stage(CRF, {**SETTINGS, "max_side": side}, out, data, masks=masks)
        assert not (out / "reduced.json").exists()
    assert results[176] == results[1024] == results[None]
    assert "reduced" not in results[1024].metrics and results[1024].provenance == {"crf": "mine"}
    for sample in data.split("train"):
        files = {mask_path(tmp_path / f"crf-{side}", sample.id).read_bytes() for side in (176, 1024, None)}
        assert len(files) == 1


@pytest.mark.slow
def test_results_of_reduced_images_do_not_depend_on_workers(tmp_path: Path, data: Dataset, masks: Path) -> None:
    for workers in (0, 2):
        config = {**SETTINGS, "max_side": 60}
        run_stage(CRF, config, tmp_path / str(workers), data, masks=masks, workers=workers)
    for sample in data.split("train"):
        one, two = (mask_path(tmp_path / name, sample.id).read_bytes() for name in ("0", "2"))
        assert one == two


@pytest.mark.parametrize("unary", ["labels", "softmax"])
def test_maps_are_refined_at_the_working_size(tmp_path: Path, data: Dataset, unary: str) -> None:
    write_maps(tmp_path / "cams", data)
    run_stage(PSEUDO, FIXED, tmp_path / "pseudo", data, cams=tmp_path / "cams")
    config = {**SETTINGS, "unary": unary, "max_side": 88}
    inputs = {"masks": tmp_path / "pseudo", "cams": tmp_path / "cams"}
    result = run_stage(CRF, config, tmp_path / "crf", data, **inputs)
    assert result.metrics["reduced"]["images"] == 4
    for sample in data.split("train"):
        truth = read_sample_mask(sample, CLASSES)
        pseudo, refined = (
            CLASSES.encode(read_mask(mask_path(tmp_path / name, sample.id), size=truth.shape), where=sample.id)
            for name in ("pseudo", "crf")
        )
        assert (refined != truth).mean() < (pseudo != truth).mean()


def test_the_default_working_sizes() -> None:
    assert STAGES["crf"].config().max_side == 1024  # type: ignore[attr-defined]
    assert STAGES["cam"].config().max_side == "auto"  # type: ignore[attr-defined]
    assert STAGES["predict"].config().max_side is None  # type: ignore[attr-defined]
    assert STAGES["segment"].config().max_side is None  # type: ignore[attr-defined]


def test_memory_is_estimated_from_image_size_and_working_size(tmp_path: Path) -> None:
    write_png(tmp_path / "large.png", np.zeros((1000, 3000, 3), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no image")
    large, broken = (Sample(name, tmp_path / f"{name}.png") for name in ("large", "broken"))
    assert image_bytes(large, per_pixel=30) == 90_000_000
    assert image_bytes(broken, per_pixel=30) == 0
    bounded = partial(_bytes, large, labels=2)
    assert bounded(config=CrfStageConfig(max_side=None)) > 3 * bounded(config=CrfStageConfig(max_side=512))


def test_no_note_without_reduced_images() -> None:
    class Context:
        out = Path("crf")

        @staticmethod
        def log(line: str) -> None:
            raise AssertionError(line)

    sizes = [("a", (500, 375)), ("b", (10, 1024))]
    assert note_reduced(Context(), sizes, 1024, how="") == {}  # type: ignore[arg-type]
    assert note_reduced(Context(), sizes, None, how="") == {}  # type: ignore[arg-type]
