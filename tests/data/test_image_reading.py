"""Datasets of 16-bit images with several pages or bands: their settings, identity, and check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsss.data.checks.check import check_config
from wsss.data.checks.inspection import CONVERTED, NARROW
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading
from wsss.io.rasters.rgb_images import read_image

VALUES = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) * 20 + 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "cells"
    (root / "images").mkdir(parents=True)
    for name, values in (("a", VALUES), ("b", VALUES[::-1])):
        Image.fromarray(values).save(root / "images" / f"{name}.tif")
    Image.fromarray((VALUES // 20).astype(np.uint8)).save(root / "images" / "c.png")
    (root / "labels.csv").write_text("image_id,labels,split\na,cell,train\nb,,train\nc,cell,train\n")
    return root


def config(root: Path, **keys: Any) -> dict[str, Any]:
    return {"layout": "folder", "root": str(root), **keys}


def test_samples_and_identity(root: Path, tmp_path: Path) -> None:
    variants = [{}, {"scaling": "full"}, {"scaling": [0, 4095]}, {"scaling": [0, 4096]}, {"page": 1}, {"bands": [1]}]
    datasets = [open_dataset(config(root, **keys), work=tmp_path) for keys in variants]
    assert [data.reading for data in datasets] == [
        PLAIN,
        Reading("full"),
        Reading((0, 4095)),
        Reading((0, 4096)),
        Reading(page=1),
        Reading(bands=(1,)),
    ]
    for data in datasets:
        assert {sample.reading for sample in data.split("train")} == {data.reading}
    assert len({data.fingerprint("train", "images") for data in datasets}) == len(datasets)
    assert len({data.fingerprint("train", "labels") for data in datasets}) == 1
    a, _, c = datasets[2].split("train")
    assert np.array_equal(read_image(*a.source)[..., 0], np.floor(VALUES / 4095 * 255 + 0.5))
    assert np.array_equal(read_image(*c.source)[..., 0], VALUES // 20)


def test_check(root: Path, tmp_path: Path) -> None:
    report = check_config(config(root), work=tmp_path)
    (problem,) = report.problems
    assert problem.kind == "unreadable images" and problem.count == 2
    assert "16-bit pixels" in problem.examples[0] and "data.scaling" in problem.examples[0]
    for scaling, narrow in (("full", True), ([0, 4095], False)):
        report = check_config(config(root, scaling=scaling), work=tmp_path)
        notes = {finding.kind: finding.examples for finding in report.notes}
        assert report.problems == ()
        assert notes[CONVERTED] == tuple(f"{name}.tif (16-bit, data.scaling: {scaling})" for name in "ab")
        assert (NARROW in notes) == narrow
    assert report.sizes == ((12, 16), (12, 16))


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"scaling": "maximum"}, "maximum"),
        ({"scaling": [5, 5]}, "[5"),
        ({"page": 0}, "0"),
        ({"bands": [1, 2]}, "[1, 2]"),
        ({"bands": [0, 1, 2]}, "[0, 1, 2]"),
    ],
)
def test_invalid_settings(root: Path, tmp_path: Path, keys: dict[str, Any], found: str) -> None:
    with pytest.raises(InvalidInput) as error:
        open_dataset(config(root, **keys), work=tmp_path)
    assert error.value.subject == f"data.{next(iter(keys))}"
    assert found in (error.value.problem or str(error.value.found))
