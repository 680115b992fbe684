"""External masks as inputs of stages: matching to images, valid values, empty masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import CLASSES, SMALL_TRAINING, coloured_dataset, run_stage, write_maps
from onethread import one_thread
from PIL import Image

from wsss.data.dataset import Dataset
from wsss.data.mask_values import MaskValues
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path, mask_path
from wsss.io.rasters.cams import Cams, write_cams
from wsss.io.rasters.label_masks import IGNORE, read_mask, voc_palette, write_mask
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.runner import run_stage as run_and_record
from wsss.pipeline.run.task import Session
from wsss.pipeline.stage import Artifact
from wsss.stages.crf import STAGE as CRF
from wsss.stages.pseudo import STAGE as PSEUDO
from wsss.stages.score import STAGE as SCORE
from wsss.stages.segment import STAGE as SEGMENT
from wsss.stages.sweep import STAGE as SWEEP
from wsss.stages.tiles import STAGE as TILES

__all__ = ["one_thread"]

TRAIN = {**SMALL_TRAINING, "epochs": None, "steps": 1}
SIZE = (36, 44)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    torch.set_num_threads(1)
    return coloured_dataset(tmp_path / "data", train=3, val=2)


def write_all(data: Dataset, folder: Path, *, name: str = "{}.png", split: str = "train") -> Path:
    """Write the true masks to another folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in data.split(split):
        Image.fromarray(read_mask(sample.mask)).save(folder / name.format(sample.id))
    return folder


@pytest.mark.parametrize("place", ["external", "external/masks"])
@pytest.mark.parametrize("name", ["{}.png", "{}.tif", "{}.jpg.png", "{}_mask.png"])
def test_every_stage_accepts_the_folder_or_masks_below_it(tmp_path, data, place, name):
    write_all(data, tmp_path / place, name=name)
    lines: list[str] = []
    external = tmp_path / "external"
    crf = run_stage(CRF, {}, tmp_path / "crf", data, masks=external, lines=lines)
    assert crf.metrics["images"] == 3 and crf.metrics["empty_masks"] == 0
    score = run_stage(SCORE, {"split": "train"}, tmp_path / "score", data, pred=external)
    assert score.metrics["miou"] == pytest.approx(1)
    segment = run_stage(SEGMENT, TRAIN, tmp_path / "net", data, masks=external)
    assert segment.metrics["images"] == 3 and segment.metrics["empty_masks"] == 0
    guessed = [line for line in lines if "matched by a part of the name" in line]
    assert len(guessed) == ("_mask" in name)


@pytest.mark.parametrize(
    ("stage", "config", "name"),
    [(CRF, {}, "masks"), (SCORE, {"split": "train"}, "pred"), (SEGMENT, TRAIN, "masks")],
    ids=["crf", "score", "segment"],
)
def test_unmatched_masks_are_listed(tmp_path, data, stage, config, name):
    write_all(data, tmp_path / "external", name="final-{}-v2.png")
    with pytest.raises(InvalidInput) as error:
        run_stage(stage, config, tmp_path / stage.name, data, **{name: tmp_path / "external"})
    assert error.value.subject == str(tmp_path / "external")
    assert "3 of 3 images" in error.value.problem and "final-train0-v2.png" in error.value.problem


def test_two_masks_of_one_image_are_refused(tmp_path, data):
    write_all(data, tmp_path / "external")
    write_all(data, tmp_path / "external", name="{}.bmp")
    with pytest.raises(InvalidInput) as error:
        run_stage(SCORE, {"split": "train"}, tmp_path / "score", data, pred=tmp_path / "external")
    assert error.value.subject == str(tmp_path / "external")
    assert "train0.bmp and train0.png" in error.value.problem


def test_predictions_in_colours_of_voc_are_scored_with_a_note(tmp_path, data):
    for sample in data.split("val"):
        path = tmp_path / "pred" / f"{sample.id}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(voc_palette()[read_mask(sample.mask)]).save(path)
    lines: list[str] = []
    result = run_stage(SCORE, {}, tmp_path / "score", data, pred=tmp_path / "pred", lines=lines)
    assert result.metrics["miou"] == pytest.approx(1)
    assert "note: masks read from colours of VOC's palette (2): val0.png, val1.png." in lines


def with_truth(data: Dataset, values: dict[int, int], own: MaskValues | None = None) -> Dataset:
    """Rewrite the ground truth with another value per class index."""
    splits: dict[str, tuple[Sample, ...]] = {}
    for split, samples in data.splits.items():
        for sample in samples:
            truth = read_sample_mask(sample, CLASSES)
            write_mask(sample.mask, np.vectorize(lambda index: values[index])(truth).astype(np.uint8))
        splits[split] = tuple(replace(sample, mask_values=own) for sample in samples)
    return Dataset(data.name, data.root, data.classes, splits)


BAD_TRUTH = {0: 0, 1: 255, 2: 255}


def test_ground_truth_of_0_and_255_is_refused_by_every_stage_that_reads_it(tmp_path, data):
    write_all(data, tmp_path / "pred", split="val")
    cams = write_maps(tmp_path / "cams", data)
    bad = with_truth(data, BAD_TRUTH)
    cases: list[tuple[Any, dict[str, Any], dict[str, Path]]] = [
        (SCORE, {}, {"pred": tmp_path / "pred"}),
        (SWEEP, {"split": "train"}, {"cams": cams}),
        (PSEUDO, {"oracle": True}, {"cams": cams}),
        (SEGMENT, {**TRAIN, "labels": "ground-truth"}, {}),
        (TILES, {"count": 4}, {}),
    ]
    for stage, config, inputs in cases:
        with pytest.raises(InvalidInput) as error:
            run_stage(stage, config, tmp_path / f"out-{stage.name}", bad, **inputs)
        assert "mask_values: {0: background, 255: red}" in str(error.value.hint)
    # A stage without ground truth is not affected.
    assert run_stage(PSEUDO, {}, tmp_path / "pseudo", bad, cams=cams).metrics["empty_masks"] == 0


def test_named_values_are_scored(tmp_path, data):
    write_all(data, tmp_path / "pred", split="val")
    named = with_truth(data, {0: 0, 1: 255, 2: 90}, MaskValues(((0,), (255,), (90,))))
    result = run_stage(SCORE, {}, tmp_path / "score", named, pred=tmp_path / "pred")
    assert result.metrics["miou"] == pytest.approx(1)


def test_predictions_of_0_and_255_are_refused_until_their_values_are_named(tmp_path, data):
    pred = tmp_path / "pred"
    pred.mkdir()
    for sample in data.split("val"):
        Image.fromarray(np.where(read_sample_mask(sample, CLASSES) == 1, 255, 0).astype(np.uint8)).save(
            pred / f"{sample.id}.png"
        )
    with pytest.raises(InvalidInput) as error:
        run_stage(SCORE, {}, tmp_path / "score", data, pred=pred)
    assert "pred_mask_values={0: background, 255: red}" in str(error.value.hint)
    named = {"pred_mask_values": {0: "background", 255: "red"}}
    result = run_stage(SCORE, named, tmp_path / "score", data, pred=pred)
    assert result.metrics["iou"]["red"] == pytest.approx(1) and result.metrics["iou"]["green"] == 0
    with pytest.raises(InvalidInput) as error:
        run_stage(SCORE, {"pred_mask_values": {0: "background", 254: "red"}}, tmp_path / "score", data, pred=pred)
    assert [one.subject for one in error.value.errors] == [str(pred / "val0.png"), str(pred / "val1.png")]
    assert error.value.errors[0].allowed == "0 (background), 254 (red)" and "255" in error.value.errors[0].problem
    with pytest.raises(InvalidInput) as error:
        run_stage(SCORE, {"pred_mask_values": {255: "rde"}}, tmp_path / "score", data, pred=pred)
    first = error.value.errors[0]
    assert str(first.subject).endswith("pred_mask_values.255") and first.found == "rde" and "red" in first.allowed
    with pytest.raises(InvalidInput) as error:
        run_stage(SCORE, {**named, "pred_values": "dataset"}, tmp_path / "score", data, pred=pred)
    assert error.value.subject == "score" and "pred_mask_values or pred_values" in error.value.problem


def test_masks_of_a_stage_may_be_uncertain_everywhere(tmp_path, data):
    for sample in data.split("val"):
        write_mask(mask_path(tmp_path / "stage", sample.id), np.full(SIZE, IGNORE, np.uint8))
    lines: list[str] = []
    masks = Artifact(tmp_path / "stage", id="pseudo", uses="pseudo", identity="x")

    class Lines(Reporter):
        def log(self, line: str) -> None:
            lines.append(line)

    session = Session(run_dir=tmp_path, reporter=Lines(quiet=True))
    outcome = run_and_record(
        SCORE, SCORE.config(), out=tmp_path / "score", inputs={"pred": masks}, data=data, session=session
    )
    assert outcome.metrics["miou"] == 0
    assert any(line.startswith("warning: ") and "2 of 2 masks contain 255" in line for line in lines)


def test_masks_to_refine_of_0_and_255_are_refused(tmp_path, data):
    for sample in data.split("train"):
        mask = np.where(read_sample_mask(sample, CLASSES) > 0, 255, 0).astype(np.uint8)
        write_mask(tmp_path / "external" / f"{sample.id}.png", mask)
    with pytest.raises(InvalidInput) as error:
        run_stage(CRF, {}, tmp_path / "crf", data, masks=tmp_path / "external")
    assert error.value.subject == str(tmp_path / "external") and "3 of 3 masks" in error.value.problem
    assert "red 40, green 90" in str(error.value.hint)


def test_empty_pseudo_masks_are_counted_with_a_warning(tmp_path, data):
    cams = write_maps(tmp_path / "cams", data)
    first = data.split("train")[0]
    nothing = np.full((len(first.labels), *SIZE), 0.1, np.float32)
    write_cams(cam_path(cams, first.id), Cams(nothing, first.labels, SIZE))
    config = {"policy": {"name": "fixed", "foreground": 0.5, "background": 0.5}}
    lines: list[str] = []
    result = run_stage(PSEUDO, config, tmp_path / "pseudo", data, cams=cams, lines=lines)
    assert result.metrics["empty_masks"] == 1
    assert "warning: 1 of 3 masks show no class: train0." in lines
    lines.clear()
    crf = run_stage(CRF, {}, tmp_path / "crf", data, masks=tmp_path / "pseudo", cams=cams, lines=lines)
    assert crf.metrics["empty_masks"] == 1 and "warning: 1 of 3 masks show no class: train0." in lines
    lines.clear()
    segment = run_stage(SEGMENT, TRAIN, tmp_path / "net", data, masks=tmp_path / "pseudo", lines=lines)
    assert segment.metrics["empty_masks"] == 1 and "warning: 1 of 3 masks show no class: train0." in lines


def test_images_without_a_class_are_not_counted_as_empty(tmp_path, data):
    cams = write_maps(tmp_path / "cams", data, inside=0.1)
    config = {"policy": {"name": "fixed", "foreground": 0.5, "background": 0.5}}
    first, *others = data.split("train")
    negatives = Dataset(data.name, data.root, CLASSES, {"train": (replace(first, labels=()), *others)})
    write_cams(cam_path(cams, first.id), Cams(np.zeros((0, *SIZE), np.float32), (), SIZE))
    lines: list[str] = []
    result = run_stage(PSEUDO, config, tmp_path / "pseudo", negatives, cams=cams, lines=lines)
    assert result.metrics["empty_masks"] == 2 and "warning: 2 of 2 masks show no class: train1, train2." in lines
    with pytest.raises(InvalidInput) as error:
        run_stage(SEGMENT, TRAIN, tmp_path / "net", negatives, masks=tmp_path / "pseudo")
    assert error.value.subject == str(tmp_path / "pseudo" / "masks") and "2 masks" in error.value.problem
    free = tuple(replace(sample, labels=()) for sample in data.split("train"))
    unlabelled = Dataset(data.name, data.root, CLASSES, {"train": free})
    result = run_stage(SEGMENT, TRAIN, tmp_path / "net", unlabelled, masks=tmp_path / "pseudo")
    assert result.metrics["empty_masks"] == 0


def test_empty_ground_truth_is_refused_for_training(tmp_path, data):
    blank = with_truth(data, {0: 0, 1: 0, 2: 0})
    unlabelled = {name: tuple(replace(one, labels=None) for one in split) for name, split in blank.splits.items()}
    data = Dataset("x", data.root, CLASSES, unlabelled)
    with pytest.raises(InvalidInput) as error:
        run_stage(SEGMENT, {**TRAIN, "labels": "ground-truth"}, tmp_path / "net", data)
    assert error.value.subject == "segment: split 'train'" and "3 of 3 masks" in error.value.problem
