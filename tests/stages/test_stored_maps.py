"""Maps and probabilities of a run as probabilities of some classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learning import coloured_dataset, write_maps

from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path, probability_path
from wsss.io.rasters.probabilities import write_probabilities
from wsss.pipeline.store.run_folder import write_run
from wsss.stages.common.stored_maps import stored_maps


def test_maps_of_some_classes(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path / "data")
    samples = data.split("train")
    write_maps(tmp_path / "cam", data, step=1)
    folder, maps_of = stored_maps(tmp_path / "cam", samples, data.classes, ["green", "red"])
    assert folder == tmp_path / "cam"
    for sample in samples:
        truth, maps = read_sample_mask(sample, data.classes), maps_of(sample)
        assert maps.shape == (2, *truth.shape)
        for index, one in ((2, maps[0]), (1, maps[1])):
            expected = np.where(truth == index, 0.8, 0.1) if index in (sample.labels or ()) else np.zeros(truth.shape)
            np.testing.assert_allclose(one, expected, atol=1e-3)


def test_the_last_stage_with_maps_of_all_images(tmp_path: Path) -> None:
    data, run = coloured_dataset(tmp_path / "data"), tmp_path / "run"
    samples, rng = data.split("train"), np.random.default_rng(0)
    probabilities = {}
    for sample in samples:
        raw = rng.random((3, 36, 44))
        probabilities[sample.id] = (raw / raw.sum(0)).astype(np.float16)
        write_probabilities(probability_path(run / "predict", sample.id), probabilities[sample.id])
    for stage in ("cam", "average"):
        write_maps(run / stage, data)
    ids = ("cam", "predict", "average", "pseudo")
    (run / "pseudo").mkdir()
    (run / "pseudo" / "stage.json").write_text("{")  # damaged, and not needed
    write_run(run, {"name": "r", "stages": [{"id": id, "uses": id} for id in ids]})
    assert stored_maps(run, samples, data.classes, ["red"])[0] == run / "average"
    cam_path(run / "average", samples[0].id).unlink()
    folder, maps_of = stored_maps(run, samples, data.classes, ["green"])
    assert folder == run / "predict"
    np.testing.assert_allclose(maps_of(samples[1])[0], probabilities[samples[1].id][2])
    probability_path(run / "predict", samples[1].id).unlink()
    assert stored_maps(run, samples, data.classes, ["red"])[0] == run / "cam"
    with pytest.raises(InvalidInput) as error:
        stored_maps(run, data.split("val"), data.classes, ["red"])
    assert error.value.subject == str(run)
