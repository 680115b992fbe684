"""What is done for a GPU: its settings are applied and restored, targets are small until they are on the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from learning import CLASSES, coloured_dataset
from torch import Tensor, nn
from toytraining import train

from wsss.data.image_transforms.augmentation import SegmentationAugmentation
from wsss.losses.base import Loss
from wsss.train.config import DeepSupervisionConfig, TrainConfig
from wsss.train.image_cache import ArrayCache
from wsss.train.runtime import deterministic
from wsss.train.tasks.segmentation import PairLoader, SegmentationExamples, mask_loss


@pytest.mark.parametrize("chosen", [False, True])
def test_cudnn_measures_algorithms_only_if_asked(tmp_path: Path, chosen: bool) -> None:
    seen = []

    def loss(model: nn.Module, batch: Any) -> Tensor:
        seen.append(torch.backends.cudnn.benchmark)
        return model(batch[0]).square().sum()

    before = torch.backends.cudnn.benchmark
    train(tmp_path, loss=loss, epochs=1, cudnn_benchmark=chosen)
    assert set(seen) == {chosen}
    assert torch.backends.cudnn.benchmark == before
    with deterministic("cpu", 0):
        assert not torch.backends.cudnn.benchmark
    assert not TrainConfig().cudnn_benchmark


def test_masks_are_bytes_in_a_batch_and_class_indices_in_a_loss(tmp_path: Path) -> None:
    class Recording(Loss):
        takes_soft = True

        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            assert target.dtype == torch.int64
            assert torch.equal(target, batch[1].to(torch.int64))
            return logits.sum()

    samples = coloured_dataset(tmp_path).split("train")
    pairs = ArrayCache(PairLoader(samples, CLASSES), len(samples), cache_bytes=1 << 20)
    augmentation = SegmentationAugmentation.model_validate({"size": 64, "scale": (1.0, 1.0)})
    image, mask = SegmentationExamples(pairs, augmentation)[0, 3]
    assert image.dtype == mask.dtype == torch.uint8 and mask.shape == (64, 64)
    assert set(mask.unique().tolist()) == {0, 1, 255}  # 255: padding
    batch = [image[None], mask[None]]
    mask_loss(Recording(), DeepSupervisionConfig())(nn.Conv2d(3, 3, 1), [image[None].float(), mask[None]])
