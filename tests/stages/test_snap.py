"""Masks aligned with superpixels and with segments of another program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning import CLASSES, coloured_dataset, contents, run_stage, write_corrected
from PIL import Image

from wsss.data.dataset import Dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.pipeline.stage import Artifact
from wsss.stages.snap import STAGE as SNAP
from wsss.validation import validate
from wsss.viz.report.report_scores import is_oracle


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=3, val=1)


@pytest.fixture
def shifted(tmp_path: Path, data: Dataset) -> Path:
    """The true masks, moved by two pixels."""
    for sample in data.samples(["train"]):
        truth = read_sample_mask(sample, data.classes)
        write_mask(mask_path(tmp_path / "shifted", sample.id), CLASSES.decode(np.roll(truth, 2, 1)))
    return tmp_path / "shifted"


def wrong_pixels(folder: Path, data: Dataset) -> int:
    truths = {sample.id: CLASSES.decode(read_sample_mask(sample, data.classes)) for sample in data.samples(["train"])}
    return sum(int((read_mask(mask_path(folder, id)) != truth).sum()) for id, truth in truths.items())


def test_superpixels_correct_shifted_masks(tmp_path: Path, data: Dataset, shifted: Path) -> None:
    result = run_stage(SNAP, {"superpixel_size": 20}, tmp_path / "out", data, masks=shifted)
    assert wrong_pixels(tmp_path / "out", data) < wrong_pixels(shifted, data) / 2
    assert result.metrics["images"] == 3 and result.metrics["segments"] == "felzenszwalb"
    assert 0 < result.metrics["changed_fraction"] < 1
    assert result.provenance["snap"]["segments"] == "felzenszwalb"
    run_stage(SNAP, {"superpixel_size": 20}, tmp_path / "again", data, masks=shifted)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_true_segments_give_true_masks(tmp_path: Path, data: Dataset, shifted: Path) -> None:
    for sample in data.samples(["train"]):
        numbers = read_sample_mask(sample, data.classes) + 1
        (tmp_path / "segments").mkdir(exist_ok=True)
        Image.fromarray(numbers.astype(np.uint8)).save(tmp_path / "segments" / f"{sample.id}.png")
    run_stage(SNAP, {"segments": tmp_path / "segments"}, tmp_path / "out", data, masks=shifted)
    assert wrong_pixels(tmp_path / "out", data) == 0


def test_masks_of_images_in_which_sam_finds_nothing_are_kept(tmp_path: Path, data: Dataset, shifted: Path) -> None:
    (tmp_path / "segments").mkdir()
    for sample in data.samples(["train"]):
        (tmp_path / "segments" / f"{sample.id}.json").write_text("[]")
    result = run_stage(SNAP, {"segments": tmp_path / "segments"}, tmp_path / "out", data, masks=shifted)
    assert result.metrics["changed_fraction"] == 0
    assert wrong_pixels(tmp_path / "out", data) == wrong_pixels(shifted, data)


def test_corrected_pixels_stay(tmp_path: Path, data: Dataset, shifted: Path) -> None:
    (first, *_) = data.samples(["train"])
    corrected = np.full(read_sample_mask(first, data.classes).shape, 255, np.uint8)
    corrected[:5, :6] = 2
    write_corrected(tmp_path / "corrections", {first.id: corrected})
    config = {"corrections": tmp_path / "corrections", "superpixel_size": 20}
    result = run_stage(SNAP, config, tmp_path / "out", data, masks=shifted)
    mask = CLASSES.encode(read_mask(mask_path(tmp_path / "out", first.id)), where=first.id)
    assert (mask[:5, :6] == 2).all()
    assert result.metrics["corrected_masks"]["images"] == 1
    assert "1 of 3 training images" in result.provenance["corrected_masks"]


@pytest.mark.parametrize("form", ["superpixels", "numbers", "sam"])
def test_the_oracle_assigns_true_classes_and_is_stamped(
    tmp_path: Path, data: Dataset, shifted: Path, form: str
) -> None:
    """Superpixels, or squares of 6×6 pixels, in which the vote makes mistakes."""
    config: dict[str, Any] = {"superpixel_size": 20}
    if form != "superpixels":
        config = {"segments": tmp_path / "segments"}
        rows, columns = np.indices((36, 44)) // 6
        numbers = (1 + rows * 8 + columns).astype(np.uint8)
        for sample in data.samples(["train"]):
            folder = tmp_path / "segments" / sample.id
            folder.mkdir(parents=True)
            if form == "numbers":
                folder.rmdir()
                Image.fromarray(numbers).save(folder.with_suffix(".png"))
            else:
                for number in np.unique(numbers):
                    Image.fromarray((numbers == number).astype(np.uint8) * 255).save(folder / f"{number}.png")
    result = run_stage(SNAP, config | {"oracle": True}, tmp_path / "out", data, masks=shifted, workers=2)
    vote = run_stage(SNAP, config, tmp_path / "vote", data, masks=shifted)
    wrong, wrong_of_vote = (wrong_pixels(tmp_path / out, data) for out in ("out", "vote"))
    assert wrong < wrong_of_vote or (form == "superpixels" and wrong == wrong_of_vote)
    assert is_oracle(result.metrics) and is_oracle(result.provenance)
    assert not is_oracle(vote.metrics) and not is_oracle(vote.provenance)
    assert "min_share" in vote.provenance["snap"] and "min_share" not in result.provenance["snap"]
    masks = Artifact(tmp_path / "out", provenance=result.provenance)
    assert is_oracle(run_stage(SNAP, config, tmp_path / "later", data, masks=masks).provenance)
    run_stage(SNAP, config | {"oracle": True}, tmp_path / "again", data, masks=shifted)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_only_the_oracle_reads_and_needs_true_masks(tmp_path: Path, data: Dataset, shifted: Path) -> None:
    kinds = [
        {read.kind for read in SNAP.reads(SNAP.config.model_validate({"oracle": oracle}))} for oracle in (False, True)
    ]
    assert kinds == [{"images"}, {"images", "masks"}]
    without = tuple(replace(sample, mask=None) for sample in data.split("train"))
    blind = Dataset("blind", data.root, data.classes, {"train": without})
    run_stage(SNAP, {"superpixel_size": 20}, tmp_path / "vote", blind, masks=shifted)
    with pytest.raises(InvalidInput) as error:
        run_stage(SNAP, {"oracle": True}, tmp_path / "out", blind, masks=shifted)
    assert error.value.subject == "snap.oracle" and not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["min_share", "min_cover"])
def test_the_oracle_does_not_vote(key: str) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(SNAP.config, {"oracle": True, key: 0.7}, where="snap")
    assert f"{key}: 0.7 requires oracle: false" in error.value.message


def test_segments_are_required_of_every_image(tmp_path: Path, data: Dataset) -> None:
    config = SNAP.config.model_validate({"segments": tmp_path})
    assert SNAP.check is not None
    with pytest.raises(InvalidInput) as error:
        SNAP.check(config, data)
    assert error.value.subject == str(tmp_path)
