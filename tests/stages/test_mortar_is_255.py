"""Datasets in whose masks 255 is a class (TopoMortar): no stage confuses it with 255 for "uncertain"."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning import SMALL_TRAINING, run_stage, write_maps

from wsss.data.dataset import Dataset
from wsss.data.readers.topomortar import CLASSES, MASK_VALUES
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import IGNORE, read_mask, write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.stages.predict import STAGE as PREDICT
from wsss.stages.pseudo import STAGE as PSEUDO
from wsss.stages.score import STAGE as SCORE
from wsss.stages.segment import STAGE as SEGMENT
from wsss.train.tasks.segmentation import PairLoader
from wsss.viz.report.pictures.gallery import make_gallery
from wsss.viz.report.run_overview import read_record

TRAIN = {**SMALL_TRAINING, "epochs": 1}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Two walls of one vertical joint each, 8 of 32 columns wide."""
    samples = []
    for number in (1, 2):
        image, mask = tmp_path / "images" / f"00{number}.png", tmp_path / "masks" / f"00{number}.png"
        joint = np.zeros((32, 32), np.uint8)
        joint[:, 8 * number : 8 * number + 8] = 255
        write_png(image, np.dstack([np.full_like(joint, 150), joint, joint]))
        write_png(mask, joint)
        samples.append(Sample(image.stem, image, (1,), mask, MASK_VALUES))
    return Dataset("walls", tmp_path, CLASSES, {"train": tuple(samples), "test": tuple(samples)})


def write_masks(data: Dataset, folder: Path, values: tuple[int, int, int]) -> Path:
    """Write the true masks with an uncertain first column of mortar; ``values``: (brick, mortar, uncertain)."""
    for sample in data.split("test"):
        truth = read_sample_mask(sample, data.classes)
        mask = np.where(truth == 1, values[1], values[0]).astype(np.uint8)
        mask[:, np.flatnonzero(truth[0])[0]] = values[2]
        write_mask(mask_path(folder, sample.id), mask)
    return folder


def iou(data: Dataset, tmp_path: Path, pred: Path, **config: str) -> float:
    out = tmp_path / f"score-{pred.name}-{len(config)}"
    return run_stage(SCORE, {"split": "test", **config}, out, data, pred=pred).metrics["iou"]["mortar"]


def test_a_score_reads_both_codes(data: Dataset, tmp_path: Path) -> None:
    stage_masks = write_masks(data, tmp_path / "stage_masks", (0, 1, IGNORE))
    assert iou(data, tmp_path, stage_masks) == pytest.approx(7 / 8)
    assert iou(data, tmp_path, stage_masks, uncertain="skip") == pytest.approx(1)
    dataset_masks = write_masks(data, tmp_path / "dataset_masks", (0, 255, 0))
    assert iou(data, tmp_path, dataset_masks, pred_values="dataset") == pytest.approx(7 / 8)


def test_mortar_is_never_scored_as_uncertain(data: Dataset, tmp_path: Path) -> None:
    dataset_masks = write_masks(data, tmp_path / "dataset_masks", (0, 255, 0))
    for uncertain in ("miss", "skip", "background"):
        with pytest.raises(InvalidInput) as error:
            iou(data, tmp_path, dataset_masks, uncertain=uncertain)
        assert "--pred-values dataset" in str(error.value.hint)
    stage_masks = write_masks(data, tmp_path / "stage_masks", (0, 1, IGNORE))
    with pytest.raises(InvalidInput) as error:
        iou(data, tmp_path, stage_masks, pred_values="dataset")
    assert [one.found for one in error.value.errors] == [[1], [1]]
    empty = write_masks(data, tmp_path / "empty", (0, 0, 0))  # a valid prediction without mortar
    assert iou(data, tmp_path, empty) == 0


def test_probabilities_are_refused_as_masks(data: Dataset, tmp_path: Path) -> None:
    grey = write_masks(data, tmp_path / "grey", (3, 251, 128))
    with pytest.raises(InvalidInput) as error:
        iou(data, tmp_path, grey)
    assert [one.found for one in error.value.errors] == [[3, 128, 251]] * 2
    assert "0, 1, 255" in str(error.value.errors[0].allowed)


def test_a_network_learns_from_the_datasets_masks_as_classes(data: Dataset, tmp_path: Path) -> None:
    loaded = PairLoader(data.split("train"), data.classes)(0)
    assert np.array_equal(np.unique(loaded[..., 3]), [0, 1]) and loaded[..., 3].mean() == 0.25
    run_stage(SEGMENT, {**TRAIN, "labels": "ground-truth"}, tmp_path / "net", data)
    predicted = run_stage(PREDICT, {"splits": ["test"]}, tmp_path / "predict", data, segmenter=tmp_path / "net")
    assert predicted.metrics["images"] == 2
    values = np.unique(np.stack([read_mask(mask_path(tmp_path / "predict", name)) for name in ("001", "002")]))
    assert set(values) <= {0, 1}  # wsss writes 1 for mortar


def test_a_network_learns_from_stage_masks_and_refuses_dataset_masks(data: Dataset, tmp_path: Path) -> None:
    stage_masks = write_masks(data, tmp_path / "stage_masks", (0, 1, IGNORE))
    masked = [
        replace(sample, mask=mask_path(stage_masks, sample.id), mask_values=None) for sample in data.split("train")
    ]
    assert np.array_equal(np.unique(PairLoader(masked, data.classes)(0)[..., 3]), [0, 1, 255])
    run_stage(SEGMENT, TRAIN, tmp_path / "net", data, masks=stage_masks)
    dataset_masks = write_masks(data, tmp_path / "dataset_masks", (0, 255, 0))
    with pytest.raises(InvalidInput) as error:
        run_stage(SEGMENT, TRAIN, tmp_path / "net2", data, masks=dataset_masks)
    assert error.value.subject == str(mask_path(dataset_masks, "001").parent) and "mortar 1" in str(error.value.hint)


def test_an_oracle_counts_the_datasets_masks_as_classes(data: Dataset, tmp_path: Path) -> None:
    write_maps(tmp_path / "cams", data, step=1)
    result = run_stage(PSEUDO, {"oracle": True}, tmp_path / "out", data, cams=tmp_path / "cams")
    assert max(row["miou"] for row in result.metrics["oracle_sweep"]) == pytest.approx(1)


def test_the_gallery_shows_both_codes_as_classes(data: Dataset, tmp_path: Path) -> None:
    record = read_record(write_masks(data, tmp_path / "stage_masks", (0, 1, IGNORE)))
    gallery = make_gallery(data, [record], [], splits=["test"], count=2, seed=0, budget=1_000_000)
    (section,) = gallery.sections
    for row in section.rows:
        stage_masks, truth = (tile.alt for cell in row.cells for tile in cell)
        assert stage_masks.endswith("mortar 22%, uncertain 3%") and truth.endswith("mortar 25%")


def test_mask_values_are_part_of_the_fingerprint(data: Dataset) -> None:
    plain = {name: tuple(replace(one, mask_values=None) for one in split) for name, split in data.splits.items()}
    other = replace(data, splits=plain)
    assert data.fingerprint("train", "masks") != other.fingerprint("train", "masks")
    assert data.fingerprint("train", "images") == other.fingerprint("train", "images")
