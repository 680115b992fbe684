"""Masks given to stages: where they are found, what they may hold, and what is said of empty ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import CLASSES, SMALL_TRAINING, coloured_dataset, run_stage
from onethread import one_thread
from PIL import Image

from wsss.data.masks.mask_values import MaskValues
from wsss.data.sample import Dataset, Sample, read_truth
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
    """Write the true masks as masks to be given."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in data.split(split):
        Image.fromarray(read_mask(sample.mask)).save(folder / name.format(sample.id))
    return folder


def write_cams_of(data: Dataset, folder: Path, strength: float, *, split: str = "train") -> Path:
    for sample in data.split(split):
        truth = read_truth(sample, CLASSES)
        maps = np.stack([np.where(truth == index, strength, 0.0) for index in sample.labels]).astype(np.float32)
        write_cams(cam_path(folder, sample.id), Cams(maps, sample.labels, truth.shape))
    return folder


@pytest.mark.parametrize("place", ["given", "given/masks"])
@pytest.mark.parametrize("name", ["{}.png", "{}.tif", "{}.jpg.png", "{}_mask.png"])
def test_every_stage_finds_them_in_the_folder_or_below(tmp_path, data, place, name):
    write_all(data, tmp_path / place, name=name)
    lines: list[str] = []
    given = tmp_path / "given"
    crf = run_stage(CRF, {}, tmp_path / "crf", data, masks=given, lines=lines)
    assert crf.metrics["images"] == 3 and crf.metrics["empty_masks"] == 0
    score = run_stage(SCORE, {"split": "train"}, tmp_path / "score", data, pred=given)
    assert score.metrics["miou"] == pytest.approx(1)
    segment = run_stage(SEGMENT, TRAIN, tmp_path / "net", data, masks=given)
    assert segment.metrics["images"] == 3 and segment.metrics["empty_masks"] == 0
    guessed = [line for line in lines if "matched by a part of the name" in line]
    assert len(guessed) == ("_mask" in name)


def test_what_is_there_instead_is_named(tmp_path, data):
    write_all(data, tmp_path / "given", name="final-{}-v2.png")
    for stage, config, name in ((CRF, {}, "masks"), (SCORE, {"split": "train"}, "pred"), (SEGMENT, TRAIN, "masks")):
        with pytest.raises(InvalidInput) as found:
            run_stage(stage, config, tmp_path / stage.name, data, **{name: tmp_path / "given"})
        assert "no mask of 3 of the 3 images" in found.value.message
        assert "No matching image for 3 masks: final-train0-v2.png" in found.value.message


def test_two_masks_of_one_image_are_refused(tmp_path, data):
    write_all(data, tmp_path / "given")
    write_all(data, tmp_path / "given", name="{}.bmp")
    with pytest.raises(InvalidInput, match=r"train0\.bmp and train0\.png are both masks of image 'train0'"):
        run_stage(SCORE, {"split": "train"}, tmp_path / "score", data, pred=tmp_path / "given")


def test_predictions_in_colours_of_voc_are_scored_and_announced(tmp_path, data):
    for sample in data.split("val"):
        path = tmp_path / "pred" / f"{sample.id}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(voc_palette()[read_mask(sample.mask)]).save(path)
    lines: list[str] = []
    result = run_stage(SCORE, {}, tmp_path / "score", data, pred=tmp_path / "pred", lines=lines)
    assert result.metrics["miou"] == pytest.approx(1)
    assert "note: masks read from colours of VOC's palette (2): val0.png, val1.png." in lines


def with_truth(data: Dataset, values: dict[int, int], own: MaskValues | None = None) -> Dataset:
    """Write the true masks anew, each class index as another value."""
    splits: dict[str, tuple[Sample, ...]] = {}
    for split, samples in data.splits.items():
        for sample in samples:
            truth = read_truth(sample, CLASSES)
            write_mask(sample.mask, np.vectorize(lambda index: values[index])(truth).astype(np.uint8))
        splits[split] = tuple(replace(sample, mask_values=own) for sample in samples)
    return Dataset(data.name, data.root, data.classes, splits)


BAD_TRUTH = {0: 0, 1: 255, 2: 255}


def test_ground_truth_of_0_and_255_is_refused_by_all_that_read_it(tmp_path, data):
    write_all(data, tmp_path / "pred", split="val")
    cams = write_cams_of(data, tmp_path / "cams", 0.9)
    bad = with_truth(data, BAD_TRUTH)
    cases: list[tuple[Any, dict[str, Any], dict[str, Path]]] = [
        (SCORE, {}, {"pred": tmp_path / "pred"}),
        (SWEEP, {"split": "train"}, {"cams": cams}),
        (PSEUDO, {"oracle": True}, {"cams": cams}),
        (SEGMENT, {**TRAIN, "labels": "ground-truth"}, {}),
        (TILES, {"count": 4}, {}),
    ]
    for stage, config, inputs in cases:
        with pytest.raises(InvalidInput, match=r"which means ignore[\s\S]*mask_values: \{0: background, 255: red\}"):
            run_stage(stage, config, tmp_path / f"out-{stage.name}", bad, **inputs)
    # A stage that reads no masks has nothing against them.
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
        Image.fromarray(np.where(read_truth(sample, CLASSES) == 1, 255, 0).astype(np.uint8)).save(
            pred / f"{sample.id}.png"
        )
    with pytest.raises(InvalidInput, match=r"255 in \d of 2 masks[\s\S]*pred_mask_values=\{0: background, 255: red\}"):
        run_stage(SCORE, {}, tmp_path / "score", data, pred=pred)
    named = {"pred_mask_values": {0: "background", 255: "red"}}
    result = run_stage(SCORE, named, tmp_path / "score", data, pred=pred)
    assert result.metrics["iou"]["red"] == pytest.approx(1) and result.metrics["iou"]["green"] == 0
    with pytest.raises(InvalidInput, match=r"pred_mask_values does not name .* value 255; expected 0 \(background\)"):
        wrong = {"pred_mask_values": {0: "background", 254: "red"}}
        run_stage(SCORE, wrong, tmp_path / "score", data, pred=pred)
    with pytest.raises(InvalidInput, match=r"pred_mask_values\.255: unknown class; .*got 'rde'; did you mean 'red'"):
        run_stage(SCORE, {"pred_mask_values": {255: "rde"}}, tmp_path / "score", data, pred=pred)
    with pytest.raises(InvalidInput, match="leave pred_values out"):
        run_stage(SCORE, {**named, "pred_values": "dataset"}, tmp_path / "score", data, pred=pred)


def test_masks_of_our_own_stages_may_be_unsure_throughout(tmp_path, data):
    for sample in data.split("val"):
        write_mask(mask_path(tmp_path / "ours", sample.id), np.full(SIZE, IGNORE, np.uint8))
    lines: list[str] = []
    given = Artifact(tmp_path / "ours", id="pseudo", uses="pseudo", identity="x")

    class Lines(Reporter):
        def log(self, line: str) -> None:
            lines.append(line)

    session = Session(run_dir=tmp_path, reporter=Lines(quiet=True))
    outcome = run_and_record(
        SCORE, SCORE.config(), out=tmp_path / "score", inputs={"pred": given}, data=data, session=session
    )
    assert outcome.metrics["miou"] == 0
    assert any("the masks hold no class but the background, and 255 in 2 of 2 masks" in line for line in lines)


def test_masks_to_refine_of_0_and_255_are_refused(tmp_path, data):
    for sample in data.split("train"):
        write_mask(
            tmp_path / "given" / f"{sample.id}.png", np.where(read_truth(sample, CLASSES) > 0, 255, 0).astype(np.uint8)
        )
    with pytest.raises(
        InvalidInput, match=r"3 of 3 masks hold 255, which means unsure in masks to refine\.\n.*red 40, green 90"
    ):
        run_stage(CRF, {}, tmp_path / "crf", data, masks=tmp_path / "given")


def test_empty_pseudo_masks_are_counted_and_warned_of(tmp_path, data):
    cams = write_cams_of(data, tmp_path / "cams", 0.9)
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


def test_images_that_have_no_class_are_no_failures(tmp_path, data):
    cams = write_cams_of(data, tmp_path / "cams", 0.1)
    config = {"policy": {"name": "fixed", "foreground": 0.5, "background": 0.5}}
    first, *others = data.split("train")
    negatives = Dataset(data.name, data.root, CLASSES, {"train": (replace(first, labels=()), *others)})
    write_cams(cam_path(cams, first.id), Cams(np.zeros((0, *SIZE), np.float32), (), SIZE))
    lines: list[str] = []
    result = run_stage(PSEUDO, config, tmp_path / "pseudo", negatives, cams=cams, lines=lines)
    assert result.metrics["empty_masks"] == 2 and "warning: 2 of 2 masks show no class: train1, train2." in lines
    with pytest.raises(InvalidInput, match=r"none of the 2 masks to train on shows a class[\s\S]*thresholds"):
        run_stage(SEGMENT, TRAIN, tmp_path / "net", negatives, masks=tmp_path / "pseudo")
    free = tuple(replace(sample, labels=()) for sample in data.split("train"))
    result = run_stage(
        SEGMENT,
        TRAIN,
        tmp_path / "net",
        Dataset(data.name, data.root, CLASSES, {"train": free}),
        masks=tmp_path / "pseudo",
    )
    assert result.metrics["empty_masks"] == 0


def test_empty_ground_truth_is_not_trained_on(tmp_path, data):
    blank = with_truth(data, {0: 0, 1: 0, 2: 0})
    unlabelled = {name: tuple(replace(one, labels=None) for one in split) for name, split in blank.splits.items()}
    with pytest.raises(InvalidInput, match="no pixel of any ground-truth mask has a class: 3 of 3 masks are 0"):
        run_stage(
            SEGMENT, {**TRAIN, "labels": "ground-truth"}, tmp_path / "net", Dataset("x", data.root, CLASSES, unlabelled)
        )
