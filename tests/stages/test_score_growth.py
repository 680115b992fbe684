"""What `score` keeps of an image depends on the classes in it, not on those of the dataset."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import numpy as np
from learning import run_stage

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.io.confusions import CONFUSIONS, read_confusions
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.metrics.overlap import confusion_matrix, overlap_scores
from wsss.stages.common.scores.score_image import Pair, count
from wsss.stages.score import STAGE as SCORE
from wsss.stages.score import ScoreConfig


def classes_of(number: int) -> Classes:
    return Classes(("background", *(f"c{n}" for n in range(1, number))), tuple((n,) for n in range(number)))


def random_dataset(folder: Path, classes: Classes, values: list[int], images: int) -> Dataset:
    rng = np.random.default_rng(0)
    samples = []
    for number in range(images):
        name = f"i{number}"
        write_png(folder / "images" / f"{name}.png", rng.integers(0, 255, (8, 8, 3)).astype(np.uint8))
        for place in ("truth", "pred"):
            write_mask(folder / place / f"{name}.png", rng.choice(values, (8, 8)).astype(np.uint8))
        samples.append(Sample(name, folder / "images" / f"{name}.png", None, folder / "truth" / f"{name}.png"))
    return Dataset("random", folder, classes, {"val": tuple(samples)})


def masks(data: Dataset, folder: Path) -> list[np.ndarray]:
    from wsss.io.rasters.label_masks import read_mask

    return [read_mask(folder / f"{sample.id}.png") for sample in data.split("val")]


def test_scores_of_few_present_classes_equal_those_of_the_whole_matrix(tmp_path: Path) -> None:
    classes = classes_of(40)
    data = random_dataset(tmp_path, classes, [0, 3, 7, 39, 255], 5)
    result = run_stage(SCORE, {}, tmp_path / "score", data, pred=tmp_path / "pred")
    pairs = zip(masks(data, tmp_path / "pred"), masks(data, tmp_path / "truth"), strict=True)
    matrices = [confusion_matrix(pred, truth, 40) for pred, truth in pairs]
    assert np.array_equal(read_confusions(tmp_path / "score" / CONFUSIONS).counts().dense(), matrices)
    whole = overlap_scores(sum(matrices), classes.names)
    assert {key: result.metrics[key] for key in whole} == whole
    rows = list(csv.DictReader((tmp_path / "score" / "per_image.csv").open()))
    for row, matrix in zip(rows, matrices, strict=True):
        expected = overlap_scores(matrix, classes.names)
        for key in ("miou", "precision", "recall", "pixel_accuracy", "uncertain_fraction"):
            assert row[key] == f"{expected[key]:.6f}"
        for name, value in expected["iou"].items():
            assert row[f"iou_{name}"] == ("" if value is None else f"{value:.6f}")


def test_an_image_without_truth_has_no_scores(tmp_path: Path) -> None:
    data = random_dataset(tmp_path, classes_of(4), [1, 2], 2)
    ignored = data.split("val")[0].mask
    write_mask(ignored, np.full((8, 8), 255, np.uint8))
    run_stage(SCORE, {}, tmp_path / "score", data, pred=tmp_path / "pred")
    first, second = csv.DictReader((tmp_path / "score" / "per_image.csv").open())
    assert set(first.values()) == {"i0", ""} and second["miou"]


def test_counts_of_an_image_do_not_grow_with_the_classes(tmp_path: Path) -> None:
    sizes = []
    for number in (4, 200):
        folder = tmp_path / str(number)
        classes = classes_of(number)
        (sample,) = random_dataset(folder, classes, [0, 1, 2, 3], 1).split("val")
        counted = count(Pair(sample, folder / "pred" / "i0.png"), classes=classes, config=ScoreConfig())
        sizes.append(len(pickle.dumps(counted)))
    assert sizes[0] == sizes[1]
