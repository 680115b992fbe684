"""Invalid files that an interrupted stage left are computed again, not taken for finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning import CLASSES, coloured_dataset, contents, run_stage

from wsss.data.sample import Classes, Dataset, read_truth
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path, mask_path, probability_path
from wsss.io.rasters.cams import Cams, read_cams, write_cams
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.probabilities import write_probabilities
from wsss.stages.colour import STAGE as COLOUR
from wsss.stages.common.finished import check_maps, check_mask, check_probabilities
from wsss.stages.crf import STAGE as CRF
from wsss.stages.pseudo import STAGE as PSEUDO


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=3, val=1)


@pytest.fixture
def cams(tmp_path: Path, data: Dataset) -> Path:
    for sample in data.samples(["train"]):
        truth = read_truth(sample, CLASSES)
        maps = np.stack([np.where(truth == index, 0.8, 0.1)[::4, ::4] for index in sample.labels or ()])
        write_cams(
            cam_path(tmp_path / "cams", sample.id), Cams(maps.astype(np.float32), sample.labels or (), truth.shape)
        )
    return tmp_path / "cams"


def crop_mask(path: Path) -> None:
    write_mask(path, read_mask(path)[:-3])


def change_class(path: Path) -> None:
    write_mask(path, np.full_like(read_mask(path), 200))


def crop_maps(path: Path) -> None:
    write_cams(path, replace(read_cams(path), size=(10, 10)))


def change_classes_of_maps(path: Path) -> None:
    cams = read_cams(path)
    write_cams(path, replace(cams, classes=tuple(99 - index for index in range(len(cams.classes)))))


@pytest.mark.parametrize(
    ("stage", "path_of", "change"),
    [
        *((stage, mask_path, change) for stage in (PSEUDO, CRF) for change in (crop_mask, change_class)),
        *((COLOUR, cam_path, change) for change in (crop_maps, change_classes_of_maps)),
    ],
    ids=lambda one: getattr(one, "name", None) or getattr(one, "__name__", None),
)
def test_invalid_files_are_computed_again(
    stage: Any, path_of: Callable[..., Path], change: Callable[[Path], None], tmp_path: Path, data: Dataset, cams: Path
) -> None:
    run_stage(PSEUDO, {}, tmp_path / "masks", data, cams=cams)
    if stage is COLOUR:  # needs a single class
        data = replace(data, classes=Classes(CLASSES.names[:2], CLASSES.values[:2]))
    inputs = {"cams": cams, "masks": tmp_path / "masks"}
    accepted = {name: path for name, path in inputs.items() if name in stage.inputs}
    out = tmp_path / "out"
    run_stage(stage, {}, out, data, **accepted)
    before = contents(out)
    path = path_of(out, data.split("train")[1].id)
    change(path)
    lines: list[str] = []
    run_stage(stage, {}, out, data, lines=lines, **accepted)
    assert contents(out) == before
    assert [line for line in lines if str(path) in line and "again" in line]


def test_valid_files_pass_and_invalid_probabilities_are_refused(tmp_path: Path, data: Dataset, cams: Path) -> None:
    sample = data.split("train")[0]
    height, width = read_truth(sample, CLASSES).shape
    check_maps(sample, out=cams, classes=CLASSES)
    write_mask(mask_path(tmp_path, sample.id), CLASSES.decode(np.zeros((height, width), np.uint8)))
    check_mask(sample, out=tmp_path, classes=CLASSES)
    for shape in ((len(CLASSES), height, width), (len(CLASSES), width + 1, height), (len(CLASSES) + 1, height, width)):
        write_probabilities(probability_path(tmp_path, sample.id), np.full(shape, 1 / shape[0], np.float32))
        if shape == (len(CLASSES), height, width):
            check_probabilities(sample, out=tmp_path, classes=CLASSES)
            continue
        with pytest.raises(InvalidInput):
            check_probabilities(sample, out=tmp_path, classes=CLASSES)
