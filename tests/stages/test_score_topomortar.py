"""`score` with the column names of TopoMortar's results."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from learning import coloured_dataset, run_stage
from resultfolders import HEAD

from wsss.benchmark.topomortar_columns import FILE
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.metrics.topology import cldice
from wsss.pipeline.config.presets import with_presets
from wsss.pipeline.config.source import Source
from wsss.stages.score import STAGE, ScoreConfig

MORTAR = Classes(("background", "mortar"), ((0,), (1,)))


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", val=3, classes=MORTAR)


def predict(folder: Path, data: Dataset) -> Path:
    """Write the true masks with a speck, and an empty mask for the first image."""
    for index, sample in enumerate(data.split("val")):
        mask = read_mask(sample.mask)  # type: ignore[arg-type]
        mask[0, 0] = 1
        write_mask(folder / f"{sample.id}.png", mask if index else np.zeros_like(mask))
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / FILE).open()))


def test_rows_and_columns_are_those_of_the_paper(tmp_path, data):
    out = run_stage(STAGE, {"topomortar": True}, tmp_path / "out", data, pred=predict(tmp_path / "pred", data))
    rows = rows_of(tmp_path / "out")
    assert tuple(rows[0]) == HEAD and [row["ID"] for row in rows] == ["val0", "val1", "val2"]
    assert rows[0]["Dice_mortar"] == "0.0" and float(rows[0]["HD95_mortar"]) == pytest.approx(np.hypot(35, 43))
    assert [row["Betti0Error_mortar"] for row in rows[1:]] == ["1", "1"] and float(rows[1]["Dice_mortar"]) > 0.98
    assert out.metrics["structure"]["classes"]["mortar"]["betti0_error"]["mean"] == 1.0
    assert (tmp_path / "out" / "structure.csv").is_file()


def test_the_preset_adds_the_betti_matching_error(tmp_path, data):
    source = with_presets(Source({"preset": "score/topomortar"}), where="score")
    run_stage(STAGE, source.value, tmp_path / "out", data, pred=predict(tmp_path / "pred", data))
    assert tuple(rows_of(tmp_path / "out")[0]) == (*HEAD, "BettiMatchingError_mortar")


def test_the_file_is_not_written_by_default(tmp_path, data):
    run_stage(STAGE, {"structure": ["betti"]}, tmp_path / "out", data, pred=predict(tmp_path / "pred", data))
    assert not (tmp_path / "out" / FILE).exists()


def test_one_class_and_the_window_of_the_paper_are_required(tmp_path):
    data = coloured_dataset(tmp_path / "data")
    with pytest.raises(InvalidInput) as error:
        STAGE.check(STAGE.config.model_validate({"topomortar": True}), data)
    assert error.value.found == ("red", "green")
    with pytest.raises(ValueError, match="window: 128"):
        ScoreConfig(topomortar=True, window=64)


def rough(folder: Path, data: Dataset) -> Path:
    """Write the true masks with a tenth of the pixels flipped."""
    generator = np.random.default_rng(0)
    for sample in data.split("val"):
        mask = read_mask(sample.mask)  # type: ignore[arg-type]
        write_mask(folder / f"{sample.id}.png", np.where(generator.random(mask.shape) < 0.1, 1 - mask, mask))
    return folder


def test_transposed_changes_cldice_alone_and_is_recorded(tmp_path, data):
    pred = rough(tmp_path / "pred", data)
    rows, metrics = [], []
    for transposed in (False, True):
        out = tmp_path / str(transposed)
        metrics.append(run_stage(STAGE, {"topomortar": True, "transposed": transposed}, out, data, pred=pred).metrics)
        rows.append(rows_of(out))
    masks = [[read_mask(path) == 1 for path in (pred / f"{s.id}.png", s.mask)] for s in data.split("val")]
    expected = [cldice(first.T, second.T) for first, second in masks]
    assert [float(row["clDice_mortar"]) for row in rows[1]] == pytest.approx(expected)
    assert all(a["clDice_mortar"] != b["clDice_mortar"] for a, b in zip(*rows, strict=True))
    for row in (*rows[0], *rows[1]):
        del row["clDice_mortar"]
    assert rows[0] == rows[1]
    assert metrics[1]["structure"]["transposed"] is True and "transposed" not in metrics[0]["structure"]


def test_transposed_needs_cldice():
    with pytest.raises(ValueError, match="cldice"):
        ScoreConfig(structure=("betti", "hd95"), transposed=True)
    assert ScoreConfig(structure=("cldice",), transposed=True).transposed
