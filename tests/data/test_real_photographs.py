"""The readers and the check on real photographs in VOC layout."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from shareddata import SHARED_DATA, needs_shared_data

from wsss.data.checks.check import check_config
from wsss.data.readers.registry import open_dataset
from wsss.data.sample import require_labels
from wsss.data.sample_mask import read_sample_mask
from wsss.io.rasters.rgb_images import image_size, read_image

pytestmark = needs_shared_data
ROOT = SHARED_DATA / "voc_animals"
ANIMALS = ["cat", "cow", "dog", "horse", "person", "sheep"]


def test_voc_animals(tmp_path: Path) -> None:
    dataset = open_dataset({"root": str(ROOT), "classes": ANIMALS}, work=tmp_path)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 531, "val": 120}
    require_labels(dataset.samples(["train", "val"]))
    for sample in dataset.split("val")[::10]:
        image = read_image(sample.image)
        truth = read_sample_mask(sample, dataset.classes, size=image.shape[:2])
        assert image_size(sample.image) == image.shape[:2]
        assert {int(value) for value in np.unique(truth)} - {0, 255} == set(sample.labels or ())
    with_all = open_dataset({"root": str(ROOT)}, work=tmp_path)
    names = [with_all.classes.names[index] for index in with_all.split("train")[0].labels or ()]
    assert names == ["horse", "person"]  # 2007_000392


@pytest.mark.slow
def test_check_of_voc_animals(tmp_path: Path) -> None:
    """Seven SBD masks lack a small person or dog in the label file (verified by eye); everything else is valid."""
    start = time.process_time()
    report = check_config({"root": str(ROOT), "classes": ANIMALS}, work=tmp_path)
    assert time.process_time() - start < 30
    assert [(finding.kind, finding.count) for finding in report.problems] == [("labels without a pixel in the mask", 7)]
    assert "2008_000119: 'person' has a label but no pixel" in report.problems[0].examples
    assert report.notes == ()
    assert report.splits["train"].class_images["cat"] == 108
