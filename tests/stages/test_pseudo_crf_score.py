"""From maps to scores: pseudo masks, dense CRF, and scores of any folder of masks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from learning import CLASSES, coloured_dataset, contents, run_stage, write_maps

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import mask_path, probability_path
from wsss.io.rasters.arrays import write_arrays
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.stages.crf import STAGE as CRF
from wsss.stages.pseudo import STAGE as PSEUDO
from wsss.stages.score import STAGE as SCORE

FIXED = {"policy": {"name": "fixed", "foreground": 0.5, "background": 0.5}}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=4, val=3)


@pytest.fixture
def cams(tmp_path: Path, data: Dataset) -> Path:
    return write_maps(tmp_path / "cams-stage", data, ("train", "val"))


def encoded(folder: Path, image_id: str) -> np.ndarray:
    return CLASSES.encode(read_mask(mask_path(folder, image_id)), where=image_id)


def test_pseudo_masks_have_the_values_of_the_dataset_and_the_classes_of_the_image(tmp_path, data, cams):
    result = run_stage(PSEUDO, {**FIXED, "splits": ["train", "val"]}, tmp_path / "out", data, cams=cams)
    assert result.metrics["images"] == 7 and result.metrics["threshold_policy"] == "fixed 0.5"
    for sample in data.samples(["train", "val"]):
        mask = read_mask(mask_path(tmp_path / "out", sample.id))
        allowed = {0, *(CLASSES.values[index][0] for index in sample.labels)}
        assert set(np.unique(mask)) <= allowed and mask.any()


def test_otsu_over_the_dataset_reports_a_threshold_per_class_between_the_two_levels(tmp_path, data, cams):
    result = run_stage(PSEUDO, {"policy": {"name": "otsu"}}, tmp_path / "out", data, cams=cams)
    assert set(result.metrics["thresholds"]) == {"red", "green"}
    assert all(0.1 <= value <= 0.8 for value in result.metrics["thresholds"].values())
    assert "ORACLE" not in result.metrics["threshold_policy"]


def test_only_the_oracle_reads_masks_and_it_is_stamped(tmp_path, data, cams):
    honest = PSEUDO.config.model_validate({})
    assert {read.kind for read in PSEUDO.reads(honest)} == {"labels"}
    assert {read.kind for read in PSEUDO.reads(PSEUDO.config.model_validate({"oracle": True}))} == {"labels", "masks"}
    result = run_stage(PSEUDO, {"oracle": True}, tmp_path / "out", data, cams=cams)
    assert result.metrics["threshold_policy"].startswith("ORACLE fixed")
    assert result.provenance["threshold_policy"].startswith("ORACLE fixed")
    sweep = result.metrics["oracle_sweep"]
    best = max(sweep, key=lambda row: row["miou"])
    scored = run_stage(SCORE, {"split": "train"}, tmp_path / "score", data, pred=tmp_path / "out")
    assert scored.metrics["miou"] == pytest.approx(best["miou"], abs=1e-12)


def test_the_oracle_needs_masks(tmp_path, cams):
    data = coloured_dataset(tmp_path / "data", train=2, val=0)
    bare = [type(sample)(sample.id, sample.image, sample.labels) for sample in data.split("train")]
    data = Dataset("bare", tmp_path, CLASSES, {"train": tuple(bare)})
    with pytest.raises(InvalidInput) as error:
        run_stage(PSEUDO, {"oracle": True}, tmp_path / "out", data, cams=cams)
    assert error.value.subject == "pseudo.oracle" and "2 of the 2 images" in error.value.problem


@pytest.mark.slow
def test_results_do_not_depend_on_workers_or_broken_files(tmp_path, data, cams):
    run_stage(PSEUDO, FIXED, tmp_path / "one", data, cams=cams)
    mask_path(tmp_path / "two", "train1").parent.mkdir(parents=True)
    mask_path(tmp_path / "two", "train1").write_bytes(b"\x89PNG broken")
    lines: list[str] = []
    run_stage(PSEUDO, FIXED, tmp_path / "two", data, cams=cams, workers=2, lines=lines)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert any("train1" in line for line in lines)
    for name, workers in (("one", 1), ("two", 2)):
        run_stage(CRF, {}, tmp_path / f"crf-{name}", data, masks=tmp_path / name, cams=cams, workers=workers)
    assert contents(tmp_path / "crf-one") == contents(tmp_path / "crf-two")


@pytest.mark.parametrize("unary", ["labels", "softmax"])
def test_crf_improves_coarse_masks(tmp_path, data, cams, unary):
    run_stage(PSEUDO, FIXED, tmp_path / "pseudo", data, cams=cams)
    config = {"unary": unary, "bilateral_sigma_rgb": 20, "bilateral_sigma_xy": 20, "gauss_weight": 1, "name": "mine"}
    result = run_stage(CRF, config, tmp_path / "crf", data, masks=tmp_path / "pseudo", cams=cams)
    assert result.provenance == {"crf": "mine"}
    before, after = (
        run_stage(SCORE, {"split": "train"}, tmp_path / f"s-{name}", data, pred=tmp_path / name).metrics["miou"]
        for name in ("pseudo", "crf")
    )
    assert after > before


def test_crf_with_two_backgrounds_leaves_pixels_uncertain(tmp_path, data, cams):
    policy = {"policy": {"name": "fixed", "foreground": 0.7, "background": 0.05}}
    run_stage(PSEUDO, policy, tmp_path / "pseudo", data, cams=cams)
    result = run_stage(CRF, {}, tmp_path / "crf", data, masks=tmp_path / "pseudo", cams=cams)
    assert 0 < result.metrics["uncertain_fraction"] < 1


def test_crf_refines_external_masks_and_labels_uncertain_pixels(tmp_path, data):
    for sample in data.split("train"):
        mask = read_mask(sample.mask)
        mask[::3] = 255
        write_mask(mask_path(tmp_path / "external", sample.id), mask)
    config = {"bilateral_sigma_rgb": 20, "bilateral_sigma_xy": 20}
    result = run_stage(CRF, config, tmp_path / "crf", data, masks=tmp_path / "external")
    assert result.metrics["uncertain_fraction"] == 0
    scored = run_stage(SCORE, {"split": "train"}, tmp_path / "score", data, pred=tmp_path / "crf")
    assert scored.metrics["miou"] > 0.8


def test_crf_on_probabilities_of_a_network(tmp_path, data):
    for sample in data.split("train"):
        truth = read_sample_mask(sample, CLASSES)
        scores = np.stack([np.where(truth == index, 0.6, 0.2) for index in range(3)]).astype(np.float16)
        write_arrays(probability_path(tmp_path / "net", sample.id), {"probabilities": scores})
        write_mask(mask_path(tmp_path / "net", sample.id), CLASSES.decode(scores.argmax(0).astype(np.uint8)))
    config = {"unary": "softmax", "gauss_weight": 0, "bilateral_weight": 0}
    run_stage(CRF, config, tmp_path / "crf", data, masks=tmp_path / "net")
    for sample in data.split("train"):
        assert np.array_equal(encoded(tmp_path / "crf", sample.id), read_sample_mask(sample, CLASSES))


def test_softmax_requires_class_scores(tmp_path, data, cams):
    run_stage(PSEUDO, FIXED, tmp_path / "pseudo", data, cams=cams)
    with pytest.raises(InvalidInput) as error:
        run_stage(CRF, {"unary": "softmax"}, tmp_path / "crf", data, masks=tmp_path / "pseudo")
    assert error.value.subject == "crf.unary"


def test_score_of_the_truth_is_one_from_a_stage_or_a_plain_folder(tmp_path, data):
    for sample in data.split("val"):
        write_mask(tmp_path / "plain" / f"{sample.id}.png", read_mask(sample.mask))
        write_mask(mask_path(tmp_path / "stage", sample.id), read_mask(sample.mask))
    for name in ("plain", "stage"):
        metrics = run_stage(SCORE, {}, tmp_path / "score", data, pred=tmp_path / name).metrics
        assert metrics["miou"] == metrics["pixel_accuracy"] == metrics["recall"] == metrics["precision"] == 1.0
        assert (metrics["images"], metrics["split"]) == (3, "val")
        assert set(metrics["iou"]) == set(CLASSES.names)
    json.dumps(dict(metrics), allow_nan=False)


def test_every_image_is_scored_and_listed(tmp_path, data):
    for index, sample in enumerate(data.split("train")):
        mask = read_mask(sample.mask)
        write_mask(tmp_path / "pred" / f"{sample.id}.png", mask if index else np.zeros_like(mask))
    run_stage(SCORE, {"split": "train"}, tmp_path / "score", data, pred=tmp_path / "pred")
    rows = list(csv.DictReader((tmp_path / "score" / "per_image.csv").open()))
    assert [row["image_id"] for row in rows] == [sample.id for sample in data.split("train")]
    assert float(rows[0]["miou"]) < 0.6 and all(float(row["miou"]) == 1 for row in rows[1:])


def test_structure_is_scored_on_request(tmp_path, data):
    for sample in data.split("val"):
        mask = read_mask(sample.mask)
        mask[0, 0] = 40  # a speck of red far from the objects
        write_mask(tmp_path / "pred" / f"{sample.id}.png", mask)
    plain = run_stage(SCORE, {}, tmp_path / "plain", data, pred=tmp_path / "pred")
    assert "structure" not in plain.metrics and not (tmp_path / "plain" / "structure.csv").exists()
    config = {"structure": ["betti", "betti_matching", "cldice", "hd95"], "frame": "none"}
    scored = run_stage(SCORE, config, tmp_path / "score", data, pred=tmp_path / "pred").metrics
    structure = scored["structure"]
    assert {key: value for key, value in scored.items() if key != "structure"} == plain.metrics
    assert structure["frame"] == "none" and structure["window"] == 128
    assert structure["classes"]["red"]["betti0_error"] == {"mean": 1.0, "std": 0.0}
    assert structure["classes"]["green"]["cldice"]["mean"] == 1.0
    rows = list(csv.DictReader((tmp_path / "score" / "structure.csv").open()))
    red = [row for row in rows if row["class"] == "red"]
    assert len(red) == 3 and {row["betti_matching_error"] for row in red} == {"1"}
    json.dumps(dict(scored), allow_nan=False)


@pytest.mark.parametrize(
    ("mask", "found", "allowed"),
    [(np.zeros((5, 5), np.uint8), "5×5", "44×36"), (np.full((36, 44), 7, np.uint8), [7], "0, 40, 90, 255")],
)
def test_invalid_predictions_are_refused(tmp_path, data, mask, found, allowed):
    for sample in data.split("val"):
        write_mask(tmp_path / "pred" / f"{sample.id}.png", mask)
    with pytest.raises(InvalidInput) as error:
        run_stage(SCORE, {}, tmp_path / "score", data, pred=tmp_path / "pred")
    first, *others = error.value.errors
    assert str(tmp_path / "pred" / "val0.png") in str(first.subject) and len(others) == 2
    assert first.found == found and allowed in str(first.allowed)


def test_a_split_without_masks_cannot_be_scored(tmp_path, data):
    bare = tuple(type(sample)(sample.id, sample.image, sample.labels) for sample in data.split("val"))
    without = Dataset("bare", tmp_path, CLASSES, {"val": bare})
    with pytest.raises(InvalidInput) as error:
        SCORE.check(SCORE.config.model_validate({}), without)
    assert error.value.subject == "score" and "val0, val1, val2" in error.value.problem


def test_masks_with_other_class_values_are_refused(tmp_path, data):
    subset = Dataset(
        "subset", tmp_path, Classes(("background", "red"), ((0,), (40,)), other=frozenset({1, 2, 90})), data.splits
    )
    for sample in data.split("val"):
        mask = read_mask(sample.mask)
        write_mask(tmp_path / "renumbered" / f"{sample.id}.png", np.where(mask == 40, 1, 0).astype(np.uint8))
        write_mask(tmp_path / "own" / f"{sample.id}.png", mask)
    with pytest.raises(InvalidInput) as error:
        run_stage(SCORE, {}, tmp_path / "score", subset, pred=tmp_path / "renumbered")
    assert error.value.subject == str(tmp_path / "renumbered") and "--data.classes" in str(error.value.hint)
    assert "values 1 " in error.value.problem and "red 40" in error.value.problem
    lines: list[str] = []
    metrics = run_stage(SCORE, {}, tmp_path / "score", subset, pred=tmp_path / "own", lines=lines).metrics
    assert metrics["miou"] == 1.0 and metrics["other_class_pixels"] > 0
    assert any("the values 90" in line and "background" in line for line in lines)


def test_the_fingerprint_covers_image_ids_and_class_values(data):
    (read,) = PSEUDO.reads(PSEUDO.config.model_validate({}))
    fewer = Dataset("fewer", data.root, data.classes, {**data.splits, "train": data.split("train")[1:]})
    values = Classes(CLASSES.names, ((0,), (41,), (90,)))
    renumbered = Dataset("renumbered", data.root, values, data.splits)
    assert len({dataset.fingerprint(read.split, read.kind) for dataset in (data, fewer, renumbered)}) == 3
