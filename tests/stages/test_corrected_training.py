"""Corrected masks in training: they win where they are labelled, and have a weight in the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import CLASSES, coloured_dataset, run_stage, write_corrected
from torch import Tensor, nn

from wsss.data.corrections.corrected_pixels import CorrectedMasks, overridden_probabilities
from wsss.data.corrections.correction_folder import open_corrections
from wsss.data.dataset import Dataset
from wsss.data.image_transforms.augmentation import SegmentationAugmentation
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.probabilities import write_probabilities
from wsss.losses.base import build_loss
from wsss.losses.config import CrossEntropyConfig
from wsss.pipeline.config.resources import names, shipped
from wsss.pipeline.config.source import read_yaml
from wsss.stages.segment import STAGE as SEGMENT
from wsss.stages.segment import SegmentConfig
from wsss.train.config import DeepSupervisionConfig
from wsss.train.corrected_examples import CorrectedExamples, weighted_mask_loss
from wsss.train.image_cache import ArrayCache
from wsss.train.tasks.segmentation import PairLoader, SegmentationExamples, mask_loss
from wsss.train.tasks.soft import SoftPairLoader
from wsss.train.training_job import Batch

NONE, GREEN = 255, 2

TRAINING: dict[str, Any] = {
    "head": "dynunet",
    "unet": {"levels": 3, "filters": [4, 8, 8], "deep_supervision": 1},
    "steps": 2,
    "batch_size": 2,
    "augmentation": {"size": 32},
}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=3, val=1)


def test_training_masks_are_overridden(tmp_path, data, corrections):
    samples = data.split("train")
    ids = [sample.id for sample in samples]
    load = PairLoader(samples, CLASSES, corrected=CorrectedMasks(ids, open_corrections(corrections)))
    plain = PairLoader(samples, CLASSES)
    for index, id in enumerate(ids):
        known = CorrectedMasks(ids, open_corrections(corrections))(index, (36, 44))
        expected = plain(index)[..., 3] if known is None else np.where(known == NONE, plain(index)[..., 3], known)
        assert np.array_equal(load(index)[..., 3], expected), id


@pytest.mark.parametrize("max_side", [44, 29, 11])
def test_thin_lines_remain_in_reduced_training_images(max_side, tmp_path, data):
    """Every reduced pixel that stands for a pixel of the line is labelled."""
    line = np.full((36, 44), NONE, np.uint8)
    line[np.arange(36), np.arange(36)] = GREEN
    known = CorrectedMasks(["train0"], open_corrections(write_corrected(tmp_path / "c", {"train0": line})))
    load = PairLoader(data.split("train")[:1], CLASSES, max_side, corrected=known, marked=True)
    marked = load(0)[..., 4]
    height, width = marked.shape
    assert max(height, width) == max_side
    for at in range(36):
        assert marked[at * height // 36, at * width // 44] == GREEN
    assert (load(0)[..., 3] == GREEN)[marked == GREEN].all()


def test_soft_targets_are_overridden(tmp_path, data, corrections):
    samples = data.split("train")
    for sample in samples:
        write_probabilities(tmp_path / f"{sample.id}.npz", np.full((3, 36, 44), 1 / 3, np.float16))
    pairs = [(sample.source, tmp_path / f"{sample.id}.npz") for sample in samples]
    load = SoftPairLoader(
        pairs, CLASSES, corrected=CorrectedMasks([s.id for s in samples], open_corrections(corrections))
    )
    for index, sample in enumerate(samples):
        known = open_corrections(corrections).read(sample.id)
        found = np.ascontiguousarray(load(index)[..., 3:]).view(np.float16)
        expected = np.full((36, 44, 3), np.float16(1 / 3))
        if known is not None:
            expected[known != NONE] = np.eye(3)[known[known != NONE]]
        assert np.array_equal(found, expected)


def test_probabilities_are_certain_where_corrections_are_labelled(tmp_path, corrections):
    known = open_corrections(corrections).read("train1")
    before = np.full((3, 36, 44), 1 / 3, np.float16)
    after = overridden_probabilities(before, known)
    assert (after[:, known == NONE] == before[:, known == NONE]).all()
    assert (after.argmax(0) == known)[known != NONE].all() and (after.sum(0)[known != NONE] == 1).all()


class Fixed(nn.Module):
    """A network whose logits are its parameters."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits


def collated(images: Tensor, mask: Tensor, corrected: Tensor) -> Batch:
    return CorrectedExamples.collate(list(zip(images, mask, corrected, strict=True)))


def batch(seed: int = 0) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 16, 16, generator=generator)
    mask = torch.randint(0, 3, (2, 16, 16), generator=generator)
    mask[:, :3] = NONE
    corrected = torch.where(torch.rand(2, 16, 16, generator=generator) < 0.3, mask, NONE)
    return logits, (torch.zeros(2, 3, 16, 16), mask.to(torch.uint8), corrected.to(torch.uint8))


def test_corrected_pixels_count_as_several_in_the_cross_entropy():
    logits, (images, mask, corrected) = batch()
    compute = weighted_mask_loss(build_loss(CrossEntropyConfig()), DeepSupervisionConfig(), 4.0)
    loss = compute(Fixed(logits), collated(images, mask, corrected))
    each = torch.nn.functional.cross_entropy(logits, mask.long(), ignore_index=NONE, reduction="none")
    weights = torch.where(corrected != NONE, 4.0, 1.0)
    assert loss.item() == pytest.approx(((each * weights).sum() / (mask != NONE).sum()).item(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names(shipped("configs")) if name.startswith("loss/")])
def test_every_loss_takes_weights(name):
    value = read_yaml(next(shipped("configs").glob(f"{name}.y*ml"))).value
    if "loss" not in value:
        pytest.skip("a part of a preset")
    config = SegmentConfig.model_validate({"loss": {"name": value["loss"]["name"]}})
    loss, plain = build_loss(config.loss), mask_loss(build_loss(config.loss), DeepSupervisionConfig())
    logits, full = batch()
    network = Fixed(logits[:, :2] if loss.config.name in ("betti_matching",) else logits)
    full = tuple(part.clamp(max=1) if part.ndim == 3 and network.logits.shape[1] == 2 else part for part in full)
    value = weighted_mask_loss(loss, DeepSupervisionConfig(), 3.0)(network, collated(*full))
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(network.logits.grad).all()
    assert value.item() != pytest.approx(plain(network, full[:2]).item())
    without = (full[0], full[1], torch.full_like(full[2], NONE))
    same = weighted_mask_loss(loss, DeepSupervisionConfig(), 3.0)(network, collated(*without))
    assert same.item() == plain(network, full[:2]).item()


def test_marked_pixels_are_cropped_like_the_mask(data, corrections):
    samples, settings = data.split("train"), {"size": 24, "scale": (0.5, 2.0), "colour": None}
    corrected_masks = CorrectedMasks([sample.id for sample in samples], open_corrections(corrections))
    marked = ArrayCache(PairLoader(samples, CLASSES, corrected=corrected_masks, marked=True), 3, cache_bytes=1 << 20)
    plain = ArrayCache(PairLoader(samples, CLASSES, corrected=corrected_masks), 3, cache_bytes=1 << 20)
    augmentation = SegmentationAugmentation.model_validate(settings)
    weighted, unweighted = CorrectedExamples(marked, augmentation), SegmentationExamples(plain, augmentation)
    seen = 0
    for index in range(3):
        for seed in range(5):
            image, mask, corrected = weighted[index, seed]
            assert torch.equal(image, unweighted[index, seed][0]) and torch.equal(mask, unweighted[index, seed][1])
            assert (mask == corrected)[corrected != NONE].all()
            seen += int((corrected != NONE).sum())
            assert index < 2 or (corrected == NONE).all()
    assert seen


@pytest.mark.slow
def test_segment_states_and_uses_corrections(tmp_path, data, corrections):
    masks = tmp_path / "data" / "masks"
    plain = run_stage(SEGMENT, TRAINING, tmp_path / "plain", data, masks=masks)
    assert "corrected_masks" not in {**plain.metrics, **plain.provenance}
    corrected = {**TRAINING, "corrections": corrections}
    one = run_stage(SEGMENT, corrected, tmp_path / "one", data, masks=masks)
    three = run_stage(SEGMENT, {**corrected, "correction_weight": 3}, tmp_path / "three", data, masks=masks)
    assert len({one.metrics["train_loss"], three.metrics["train_loss"], plain.metrics["train_loss"]}) == 3
    for result in (one, three):
        assert "2 of 3 training images" in result.provenance["corrected_masks"]
    assert three.provenance["correction_weight"] == 3 and "correction_weight" not in one.provenance


def test_masks_without_a_class_may_be_corrected(tmp_path, data, corrections):
    """Corrected masks alone show the classes: external masks are unlabelled everywhere."""
    for sample in data.split("train"):
        write_mask(tmp_path / "m" / f"{sample.id}.png", np.full((36, 44), NONE, np.uint8))
    with pytest.raises(InvalidInput):
        run_stage(SEGMENT, TRAINING, tmp_path / "plain", data, masks=tmp_path / "m")
    result = run_stage(SEGMENT, {**TRAINING, "corrections": corrections}, tmp_path / "c", data, masks=tmp_path / "m")
    assert result.metrics["empty_masks"] == 1  # only train2 has no corrected mask


@pytest.mark.parametrize(
    ("config", "subject", "named"),
    [
        ({"correction_weight": 2}, "segment", "correction_weight "),
        ({"corrections": "c", "correction_weight": 0.5}, "segment.correction_weight", ""),
        ({"corrections": "c", "labels": "ground-truth"}, "segment", "corrections: "),
        ({"corrections": "c", "correction_weight": 2, "labels": "soft"}, "segment", "correction_weight: "),
    ],
)
def test_settings_without_effect_are_refused(config, subject, named, data, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        run_stage(SEGMENT, {**TRAINING, **config}, tmp_path / "out", data)
    assert caught.value.subject == subject and caught.value.problem.startswith(named)
