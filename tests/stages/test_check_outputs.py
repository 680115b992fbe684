"""Invalid maps and masks that an interrupted stage left are computed again, not taken for finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import BACKBONE, CLASSES, coloured_dataset, contents, random_segmenter, run_stage, write_maps
from onethread import one_thread

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path, mask_path, probability_path
from wsss.io.rasters.cams import read_cams, write_cams
from wsss.io.rasters.label_masks import IGNORE, read_mask, write_mask
from wsss.io.rasters.probabilities import write_probabilities
from wsss.models.classifier import build_classifier, save_classifier
from wsss.models.config import ClassifierConfig
from wsss.pipeline.stage import Artifact, Context, Result
from wsss.stages.average import STAGE as AVERAGE
from wsss.stages.cam import STAGE as CAM
from wsss.stages.colour import STAGE as COLOUR
from wsss.stages.common.check_outputs import check_mask, check_probabilities
from wsss.stages.crf import STAGE as CRF
from wsss.stages.predict import STAGE as PREDICT
from wsss.stages.pseudo import STAGE as PSEUDO

__all__ = ["one_thread"]  # a fixture of every test here

Change = Callable[[Path], None]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=3, val=1)


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = build_classifier(ClassifierConfig.model_validate({"backbone": BACKBONE}), len(CLASSES.foreground))
    save_classifier(tmp_path / "classify", model, CLASSES)
    return tmp_path / "classify"


def crop_maps(path: Path) -> None:
    write_cams(path, replace(read_cams(path), size=(10, 10)))


def coarsen_maps(path: Path) -> None:
    cams = read_cams(path)
    write_cams(path, replace(cams, maps=cams.maps[:, ::2, ::2]))


def drop_maps(path: Path) -> None:
    cams = read_cams(path)
    write_cams(path, replace(cams, maps=cams.maps[:0], classes=()))


def swap_classes(path: Path) -> None:
    cams = read_cams(path)
    write_cams(path, replace(cams, classes=tuple(3 - index for index in cams.classes)))


def unknown_classes(path: Path) -> None:
    cams = read_cams(path)
    write_cams(path, replace(cams, classes=tuple(99 - index for index in range(len(cams.classes)))))


def crop_mask(path: Path) -> None:
    write_mask(path, read_mask(path)[:-3])


def fill(value: int, path: Path) -> None:
    write_mask(path, np.full_like(read_mask(path), value))


invalid_value, ignore_all, show_green = partial(fill, 200), partial(fill, IGNORE), partial(fill, CLASSES.values[2][0])


def averaged(folder: Path, ctx: Context[Any]) -> Result:
    return AVERAGE.run(replace(ctx, inputs={"cams": (Artifact(folder),)}))


def assert_computed_again(
    stage: Any, config: dict[str, Any], out: Path, path: Path, change: Change, data: Dataset, **inputs: Path
) -> None:
    if stage is AVERAGE:  # accepts any number of folders
        stage = replace(stage, run=partial(averaged, inputs["cams"]), ready=lambda ctx: None)
        inputs = {}
    run_stage(stage, config, out, data, **inputs)
    before = contents(out)
    change(path)
    assert contents(out) != before
    lines: list[str] = []
    run_stage(stage, config, out, data, lines=lines, **inputs)
    assert contents(out) == before
    assert [line for line in lines if str(path) in line and "again" in line]


@pytest.mark.parametrize("change", [crop_maps, coarsen_maps, drop_maps, swap_classes])
def test_maps_of_other_classes_or_size(change: Change, tmp_path: Path, data: Dataset, classifier: Path) -> None:
    path = cam_path(tmp_path / "cam", "train0")  # the image shows class 1 alone
    assert_computed_again(CAM, {"scales": [1]}, tmp_path / "cam", path, change, data, classifier=classifier)


def test_predicted_classes_are_not_checked_but_the_size_is(tmp_path: Path, data: Dataset, classifier: Path) -> None:
    config, path = {"scales": [1], "classes": "predicted", "threshold": 0.01}, cam_path(tmp_path / "cam", "train0")
    assert_computed_again(CAM, config, tmp_path / "cam", path, coarsen_maps, data, classifier=classifier)
    assert read_cams(path).classes == (1, 2)


@pytest.mark.parametrize("change", [crop_maps, coarsen_maps, drop_maps, unknown_classes])
def test_maps_of_a_colour(change: Change, tmp_path: Path, data: Dataset) -> None:
    one_class = replace(data, classes=replace(CLASSES, names=CLASSES.names[:2], values=CLASSES.values[:2]))
    assert_computed_again(COLOUR, {}, tmp_path / "out", cam_path(tmp_path / "out", "train0"), change, one_class)


@pytest.mark.parametrize("change", [crop_maps, coarsen_maps, drop_maps, swap_classes])
def test_averaged_maps(change: Change, tmp_path: Path, data: Dataset) -> None:
    write_maps(tmp_path / "cams", data)
    path = cam_path(tmp_path / "out", "train0")
    assert_computed_again(AVERAGE, {}, tmp_path / "out", path, change, data, cams=tmp_path / "cams")


@pytest.mark.parametrize("change", [crop_mask, invalid_value, ignore_all])
@pytest.mark.parametrize("stage", [PSEUDO, CRF], ids=["pseudo", "crf"])
def test_pseudo_and_refined_masks(stage: Any, change: Change, tmp_path: Path, data: Dataset) -> None:
    inputs = {"cams": write_maps(tmp_path / "cams", data)}
    if stage is CRF:
        run_stage(PSEUDO, {}, tmp_path / "masks", data, **inputs)
        inputs["masks"] = tmp_path / "masks"
    path = mask_path(tmp_path / "out", "train1")
    assert_computed_again(stage, {}, tmp_path / "out", path, change, data, **inputs)


@pytest.mark.parametrize("change", [crop_mask, invalid_value, ignore_all])
def test_predicted_masks(change: Change, tmp_path: Path, data: Dataset) -> None:
    segmenter = random_segmenter(tmp_path / "segment")
    path = mask_path(tmp_path / "out", "train0")
    config = {"splits": ["train"], "batch_size": 2}
    assert_computed_again(PREDICT, config, tmp_path / "out", path, change, data, segmenter=segmenter)


def test_restricted_masks_have_no_other_classes(tmp_path: Path, data: Dataset) -> None:
    segmenter = random_segmenter(tmp_path / "segment")
    config = {"splits": ["train"], "labels": "restrict"}
    path = mask_path(tmp_path / "out", "train0")
    assert_computed_again(PREDICT, config, tmp_path / "out", path, show_green, data, segmenter=segmenter)


def test_values_that_no_stage_writes_are_refused(tmp_path: Path, data: Dataset) -> None:
    """Ground truth may have left-out classes and several values per class; output masks have neither."""
    classes = Classes(CLASSES.names, ((0,), (40, 41), (90,)), other=frozenset({7}))
    sample, out = data.split("train")[0], tmp_path / "out"
    size = read_mask(sample.mask).shape if sample.mask else ()
    for value in (0, 40, 90):
        write_mask(mask_path(out, sample.id), np.full(size, value, np.uint8))
        check_mask(sample, out=out, classes=classes)
    partial_mask = np.full(size, IGNORE, np.uint8)
    partial_mask[0, 0] = 0
    write_mask(mask_path(out, sample.id), partial_mask)
    check_mask(sample, out=out, classes=classes)
    for value in (7, 41, 1):
        write_mask(mask_path(out, sample.id), np.full(size, value, np.uint8))
        with pytest.raises(InvalidInput) as error:
            check_mask(sample, out=out, classes=classes)
        assert error.value.found == [value] and "0, 40, 90, 255" in str(error.value.allowed)


def test_probabilities_of_other_sizes_or_classes_are_refused(tmp_path: Path, data: Dataset) -> None:
    sample = data.split("train")[0]
    for shape, valid in (((3, 36, 44), True), ((3, 45, 36), False), ((4, 36, 44), False)):
        write_probabilities(probability_path(tmp_path, sample.id), np.full(shape, 1 / shape[0], np.float32))
        if valid:
            check_probabilities(sample, out=tmp_path, classes=CLASSES)
        else:
            with pytest.raises(InvalidInput):
                check_probabilities(sample, out=tmp_path, classes=CLASSES)
