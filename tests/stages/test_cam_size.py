"""Large images in `cam`: those of classifiers trained on tiles are computed at full resolution, others downscaled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning import run_stage
from walls import MAPS, TRAINING, walls

from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.cams import read_cams
from wsss.models.classifier import load_classifier
from wsss.pipeline.stage import Result
from wsss.stages import STAGES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """Walls of 96 × 96 pixels, and a classifier that was trained on their tiles."""
    root = tmp_path_factory.mktemp("cam-size")
    data = walls(root / "data", count=3)
    run_stage(STAGES["tiles"], {"count": 100, "size": 9}, root / "tiles", data)
    run_stage(STAGES["classify"], TRAINING, root / "classify", data, tiles=root / "tiles")
    return root, data


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.stages.common.inference.cam_size.AUTO_SIDE", 64)


def maps(run: tuple[Path, Dataset], out: Path, lines: list[str], **config: Any) -> tuple[Result, np.ndarray]:
    root, data = run
    inputs = {"tiles": root / "tiles"} if "adapt" in config else {}
    result = run_stage(STAGES["cam"], MAPS | config, out, data, lines=lines, classifier=root / "classify", **inputs)
    return result, read_cams(cam_path(out, "w1")).maps


@pytest.mark.parametrize("adapt", [{}, {"adapt": {"steps": 2}}])
def test_a_classifier_of_tiles_gets_full_resolution(
    run: tuple[Path, Dataset], tmp_path: Path, adapt: dict[str, Any]
) -> None:
    lines: list[str] = []
    result, found = maps(run, tmp_path / "auto", lines, **adapt)
    _, whole = maps(run, tmp_path / "null", [], max_side=None, **adapt)
    _, reduced = maps(run, tmp_path / "64", [], max_side=64, **adapt)
    np.testing.assert_allclose(found, whole, atol=2e-3)
    assert np.abs(found - reduced).max() > 0.05
    assert result.metrics["tiled"] == {"images": 3, "tile": 64, "overlap": 32}
    assert result.provenance["cam"]["tiled"]["images"] == 3 and "reduced" not in result.metrics
    (line,) = [line for line in lines if "full resolution" in line]
    assert "3 of 3 images" in line and "not downscaled" in line


@pytest.mark.parametrize("config", [{"max_side": 64}, {"method": "layercam", "activation": "relu"}])
def test_reduced_images_of_such_a_classifier_are_noted(
    run: tuple[Path, Dataset], tmp_path: Path, config: dict[str, Any]
) -> None:
    """The size was set, or the method needs whole images."""
    lines: list[str] = []
    result, _ = maps(run, tmp_path / "m", lines, **config)
    assert result.metrics["reduced"] == {"max_side": 64, "images": 3} and "tiled" not in result.metrics
    (line,) = [line for line in lines if "full resolution" in line]
    assert "3 of 3 images were downscaled" in line and ("auto" in line) == ("max_side" in config)


@pytest.mark.slow
def test_other_classifiers_get_reduced_images(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    """Also one that was trained on tiles, and then by `expand` on whole images."""
    root, data = run
    assert load_classifier(root / "classify")[0].trained_on_tiles
    assert json.loads((root / "classify/model.json").read_text())["trained_on"] == "tiles"
    labelled = Dataset(data.name, data.root, data.classes, {"train": (*data.split("train"), unlabelled(data))})
    training = {"epochs": 1, "batch_size": 2}
    run_stage(STAGES["expand"], training, tmp_path / "e", labelled, classifier=root / "classify")
    assert "trained_on" not in json.loads((tmp_path / "e/model.json").read_text())
    lines: list[str] = []
    result = run_stage(STAGES["cam"], MAPS, tmp_path / "m", data, lines=lines, classifier=tmp_path / "e")
    assert result.metrics["reduced"] == {"max_side": 64, "images": 3} and "tiled" not in result.metrics
    assert not [line for line in lines if "full resolution" in line]
    run_stage(STAGES["expand"], training, tmp_path / "t", data, classifier=root / "classify", tiles=root / "tiles")
    assert load_classifier(tmp_path / "t")[0].trained_on_tiles


def test_with_tiles_auto_means_no_limit(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    result, found = maps(run, tmp_path / "tiles", [], tile=96, overlap=32)
    _, whole = maps(run, tmp_path / "null", [], max_side=None)
    assert np.array_equal(found, whole) and not {"tiled", "reduced"} & result.metrics.keys()


def unlabelled(data: Dataset) -> Sample:
    """Return an image without classes, a negative example."""
    return replace(data.split("train")[0], id="negative", labels=(), mask=None)


@pytest.mark.parametrize("scales", [[1], [1, 2]])
def test_small_images_are_neither_reduced_nor_tiled(
    run: tuple[Path, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scales: list[float]
) -> None:
    monkeypatch.setattr("wsss.stages.common.inference.cam_size.AUTO_SIDE", 96)
    lines: list[str] = []
    result, found = maps(run, tmp_path / "auto", lines, scales=scales)
    _, whole = maps(run, tmp_path / "null", [], max_side=None, scales=scales)
    assert np.array_equal(found, whole) and not {"tiled", "reduced"} & result.metrics.keys()
    assert not [line for line in lines if "full resolution" in line]
