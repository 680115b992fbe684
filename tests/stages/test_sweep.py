"""Stage `sweep`: scores at all thresholds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from learning import CLASSES, coloured_dataset, contents, run_stage

from wsss.data.dataset import Dataset
from wsss.data.truth import read_truth
from wsss.errors import InvalidInput
from wsss.io.confusions import CONFUSIONS, read_confusions
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.arrays import write_arrays
from wsss.io.rasters.cams import Cams, write_cams
from wsss.io.sweeps import SWEEP_COUNTS, read_sweep_counts
from wsss.metrics.overlap import overlap_scores
from wsss.metrics.threshold_curve import foreground_precision_recall
from wsss.stages.pseudo import STAGE as PSEUDO
from wsss.stages.score import STAGE as SCORE
from wsss.stages.sweep import STAGE as SWEEP
from wsss.viz.report.report_scores import is_oracle


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=2, val=5)


@pytest.fixture
def cams(tmp_path: Path, data: Dataset) -> Path:
    generator = np.random.default_rng(0)
    for sample in data.split("val"):
        truth = read_truth(sample, CLASSES)
        maps = [np.where(truth == i, 0.6, 0.2)[::4, ::4] + generator.normal(0, 0.15, (9, 11)) for i in sample.labels]
        stacked = np.stack(maps).clip(0, 1).astype(np.float32)
        write_cams(cam_path(tmp_path / "cam", sample.id), Cams(stacked, sample.labels, truth.shape))
    return tmp_path / "cam"


def test_each_threshold_scores_as_its_pseudo_masks_do(tmp_path, data, cams):
    result = run_stage(SWEEP, {"thresholds": 20}, tmp_path / "sweep", data, cams=cams)
    rows = {float(row["threshold"]): row for row in csv.DictReader((tmp_path / "sweep" / "sweep.csv").open())}
    assert len(rows) == 20
    for level in (0.05, 0.3, 0.35, 0.8):
        policy = {"name": "fixed", "foreground": level, "background": level}
        run_stage(PSEUDO, {"splits": ["val"], "policy": policy}, tmp_path / f"p{level}", data, cams=cams)
        scored = run_stage(SCORE, {}, tmp_path / f"s{level}", data, pred=tmp_path / f"p{level}").metrics
        for measure in ("miou", "precision", "recall"):
            assert float(rows[level][f"oracle_{measure}"]) == pytest.approx(scored[measure], abs=1e-6)
        foreground = [name for name, value in scored["iou"].items() if name != "background" and value is not None]
        total = read_confusions(tmp_path / f"s{level}" / CONFUSIONS).stacked().sum(0)
        places = [CLASSES.names.index(name) for name in foreground]
        recall = np.mean([total[i, i] / total[i].sum() for i in places])
        assert float(rows[level]["oracle_foreground_recall"]) == pytest.approx(recall, abs=1e-6)
    best = result.metrics["best_threshold"]
    assert float(rows[best]["oracle_miou"]) == max(float(row["oracle_miou"]) for row in rows.values())
    assert result.metrics["miou"] == pytest.approx(float(rows[best]["oracle_miou"]), abs=1e-6)


def test_all_results_are_stamped(tmp_path, data, cams):
    result = run_stage(SWEEP, {}, tmp_path / "sweep", data, cams=cams)
    assert result.metrics["threshold_policy"].startswith("ORACLE fixed") and result.metrics["oracle"] is True
    assert result.metrics["recall_at_precision"]["oracle"] is True
    assert is_oracle(result.provenance) and is_oracle(result.metrics["provenance"])
    header = (tmp_path / "sweep" / "sweep.csv").read_text().splitlines()[0].split(",")
    assert header[0] == "threshold" and all(name.startswith("oracle_") for name in header[1:])


def test_counts_per_image_give_the_curve_and_the_score_at_the_best_threshold(tmp_path, data, cams):
    result = run_stage(SWEEP, {"minimum_precision": 0.6}, tmp_path / "sweep", data, cams=cams)
    ids = tuple(sample.id for sample in data.split("val"))
    confusions = read_confusions(tmp_path / "sweep" / CONFUSIONS)
    assert tuple(confusions.images) == ids
    assert overlap_scores(confusions.stacked().sum(0), CLASSES.names)["miou"] == result.metrics["miou"]
    sweep = read_sweep_counts(tmp_path / "sweep" / SWEEP_COUNTS)
    assert sweep.images == ids and sweep.classes == CLASSES.names
    precision, recall = foreground_precision_recall(sweep.counts.sum(0))
    best = result.metrics["recall_at_precision"]
    index = sweep.levels.index(best["threshold"])
    assert (best["precision"], best["recall"]) == (precision[index], recall[index])
    assert best["precision"] >= 0.6 and best["recall"] == recall[precision >= 0.6].max()


def test_results_do_not_depend_on_workers(tmp_path, data, cams):
    run_stage(SWEEP, {}, tmp_path / "one", data, cams=cams)
    run_stage(SWEEP, {}, tmp_path / "two", data, cams=cams, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_recall_is_zero_if_the_precision_is_never_reached(tmp_path, data):
    for sample in data.split("val"):
        maps = np.full((len(sample.labels), 9, 11), 0.5, np.float32)
        write_cams(cam_path(tmp_path / "flat", sample.id), Cams(maps, sample.labels, (36, 44)))
    best = run_stage(SWEEP, {}, tmp_path / "sweep", data, cams=tmp_path / "flat").metrics["recall_at_precision"]
    assert (best["recall"], best["precision"], best["threshold"]) == (0.0, None, None)


def test_missing_masks_are_refused(tmp_path, data):
    bare = tuple(type(sample)(sample.id, sample.image, sample.labels) for sample in data.split("val"))
    with pytest.raises(InvalidInput) as error:
        SWEEP.check(SWEEP.config.model_validate({}), Dataset("bare", tmp_path, CLASSES, {"val": bare}))
    assert error.value.subject == "sweep"
    assert "split 'val'" in error.value.problem and "val0, val1" in error.value.problem


@pytest.mark.parametrize("change", [{"counts": np.zeros((1, 2, 3))}, {"levels": None}])
def test_invalid_counts_are_refused(tmp_path, change):
    good = {"classes": np.array(["a"]), "levels": np.array([0.5]), "images": np.array(["x"])}
    arrays = {**good, "counts": np.zeros((1, 1, 3, 1), np.int64), **change}
    write_arrays(tmp_path / "sweep.npz", {key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(InvalidInput) as error:
        read_sweep_counts(tmp_path / "sweep.npz")
    assert error.value.subject == str(tmp_path / "sweep.npz")
