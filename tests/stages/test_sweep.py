"""Stage `sweep`: scores at all thresholds."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from learning import CLASSES, coloured_dataset, contents, run_stage

from wsss.data.artifacts import read_maps
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.confusions import CONFUSIONS, read_confusions
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.arrays import write_arrays
from wsss.io.rasters.cams import Cams, write_cams
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.io.sweeps import SWEEP_COUNTS, read_sweep_counts
from wsss.metrics.overlap import mean_scores, overlap_scores
from wsss.metrics.threshold_curve import (
    best_recall,
    even_levels,
    foreground_precision_recall,
    level_confusions,
    level_counts,
    level_histogram,
)
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
        truth = read_sample_mask(sample, CLASSES)
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
        total = read_confusions(tmp_path / f"s{level}" / CONFUSIONS).counts().total()
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
    assert overlap_scores(confusions.counts().total(), CLASSES.names)["miou"] == result.metrics["miou"]
    sweep = read_sweep_counts(tmp_path / "sweep" / SWEEP_COUNTS)
    assert sweep.images == ids and sweep.classes == CLASSES.names
    precision, recall = foreground_precision_recall(sweep.counts.total())
    best = result.metrics["recall_at_precision"]
    index = sweep.levels.index(best["threshold"])
    assert (best["precision"], best["recall"]) == (precision[index], recall[index])
    assert best["precision"] >= 0.6 and best["recall"] == recall[precision >= 0.6].max()


def many_classes(folder: Path, images: int) -> Dataset:
    """Images of 8 × 8 pixels with 2 of 60 classes, and maps of these."""
    classes = Classes(("background", *(f"c{n}" for n in range(1, 60))), tuple((n,) for n in range(60)))
    generator, samples = np.random.default_rng(0), []
    for number in range(images):
        name, labels = f"i{number}", (1 + number % 30, 31 + number % 29)
        image, mask = folder / f"{name}.png", folder / f"{name}-mask.png"
        write_png(image, generator.integers(0, 255, (8, 8, 3)).astype(np.uint8))
        write_mask(mask, generator.choice((0, *labels, 255), (8, 8)).astype(np.uint8))
        maps = generator.random((2, 8, 8)).astype(np.float32)
        write_cams(cam_path(folder / "cam", name), Cams(maps, labels, (8, 8)))
        samples.append(Sample(name, image, labels, mask))
    return Dataset("many", folder, classes, {"val": tuple(samples)})


def test_results_equal_those_of_dense_counts(tmp_path):
    """Byte by byte: of the curve, of the best threshold, and of the counts of each image."""
    data = many_classes(tmp_path, 12)
    result = run_stage(SWEEP, {"thresholds": 50}, tmp_path / "sweep", data, cams=tmp_path / "cam").metrics
    levels, histograms = even_levels(50), []
    for sample in data.split("val"):
        cams, truth = read_maps(tmp_path / "cam", sample, data.classes), read_sample_mask(sample, data.classes)
        histograms.append(level_histogram(cams.each_at_full_size(), cams.classes, truth, 60, levels))
    matrices = [level_confusions(each) for each in histograms]
    counts = np.stack([level_counts(each) for each in matrices])
    sweep = read_sweep_counts(tmp_path / "sweep" / SWEEP_COUNTS)
    np.testing.assert_array_equal(sweep.counts.dense(), counts)
    best = int(mean_scores(sum(matrices), "miou").argmax())
    at_best = read_confusions(tmp_path / "sweep" / CONFUSIONS).counts().dense()
    np.testing.assert_array_equal(at_best, [each[best] for each in matrices])
    assert result["best_threshold"] == levels[best]
    assert result["miou"] == overlap_scores(sum(matrices)[best], data.classes.names)["miou"]
    assert result["recall_at_precision"]["recall"] == best_recall(counts.sum(0), 0.5)[0]


def test_memory_does_not_grow_with_images_times_classes_times_thresholds(tmp_path):
    def peak(images: int) -> int:
        data = many_classes(tmp_path / str(images), images)
        tracemalloc.start()
        try:
            run_stage(SWEEP, {"thresholds": 50}, tmp_path / f"s{images}", data, cams=tmp_path / str(images) / "cam")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # imports
    dense = 50 * 3 * 60 * 8
    assert peak(90) - peak(10) < 80 * dense / 4


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "change",
    [
        {"levels": None},
        {"levels": np.array([[0.5]])},
        {"levels": np.array([np.nan])},
        {"offsets": np.array([0, 2])},
        {"offsets": np.array([1])},
        {"offsets": np.array([0, 5, 1])},
        {"images": np.array(["x", "y"]), "offsets": np.array([0, 5, 1])},
        {"cells": np.array([3])},
        {"cells": np.array([-1])},
        {"cells": np.array([0.0])},
        {"pixels": np.array([-1])},
        {"pixels": np.array([2**63], np.uint64)},
    ],
    ids=str,
)
def test_invalid_counts_are_refused(tmp_path, change):
    good = {"classes": np.array(["a"]), "levels": np.array([0.5]), "images": np.array(["x"])}
    good |= {"offsets": np.array([0, 1]), "cells": np.array([2]), "pixels": np.array([7])}
    write_arrays(tmp_path / "sweep.npz", good)
    assert read_sweep_counts(tmp_path / "sweep.npz").counts.dense().tolist() == [[[[0], [0], [7]]]]
    arrays = {**good, **change}
    write_arrays(tmp_path / "sweep.npz", {key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(InvalidInput) as error:
        read_sweep_counts(tmp_path / "sweep.npz")
    assert error.value.subject == str(tmp_path / "sweep.npz")
