"""Training data of segmentation networks (images with masks), and their loss function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import default_collate

from wsss.data.classes import Classes
from wsss.data.corrections.corrected_pixels import CorrectedMasks, overridden, reduced_corrections
from wsss.data.image_transforms.augmentation import SegmentationAugmentation
from wsss.data.image_transforms.resizing import reduced, reduced_mask
from wsss.data.image_transforms.transforms import Transform
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import read_image
from wsss.losses.base import Loss, hard
from wsss.losses.targets import contents_of, known_contents
from wsss.train.config import DeepSupervisionConfig
from wsss.train.image_cache import ArrayCache
from wsss.train.sample_order import Item
from wsss.train.tasks.deep_supervision import deep_loss
from wsss.train.training_job import Batch


class PairLoader:
    """Loads image and mask of a sample as one ``(H, W, 4)`` uint8 array: RGB and class indices (255 = ignore).

    If the longer side exceeds ``max_side`` pixels, both are downscaled to it.

    Args:
        samples, classes, max_side: the images with their masks.
        corrected: corrected masks of the samples; their labelled pixels replace those of other masks.
        marked: add the corrected mask as a fifth channel, 255 where it is not labelled.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        classes: Classes,
        max_side: int | None = None,
        *,
        corrected: CorrectedMasks | None = None,
        marked: bool = False,
    ) -> None:
        self.samples, self.classes, self.max_side = list(samples), classes, max_side
        self.corrected, self.marked = corrected, marked

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Return one pair.

        Raises:
            InvalidInput: a file is missing or invalid, image and mask differ in size, or a mask value is unknown.
        """
        sample = self.samples[index]
        image = read_image(*sample.source)
        mask = read_sample_mask(sample, self.classes, size=image.shape[:2])
        corrected = None if self.corrected is None else self.corrected(index, image.shape[:2])
        mask = reduced_mask(mask, self.max_side)
        corrected = None if corrected is None else reduced_corrections(corrected, mask.shape)
        masks = [overridden(mask, corrected)]
        if self.marked:
            masks.append(np.full(mask.shape, IGNORE, np.uint8) if corrected is None else corrected)
        return np.dstack([reduced(image, self.max_side), *masks])


class PairExamples:
    """Augmented images with per-pixel targets."""

    def __init__(self, pairs: ArrayCache, augmentation: SegmentationAugmentation) -> None:
        self.pairs, self.transform = pairs, Transform(augmentation)

    def __len__(self) -> int:
        return len(self.pairs)

    def target(self, stored: NDArray[np.uint8]) -> Any:
        """Return the target before augmentation, from the channels ``(H, W, N)`` stored after RGB."""
        raise NotImplementedError

    def as_tensor(self, target: Any) -> Tensor:
        """Return the augmented target: class indices uint8 or probabilities, as `mask_loss` expects."""
        raise NotImplementedError

    @staticmethod
    def collate(examples: list[tuple[Tensor, ...]]) -> Batch:
        """Return a batch of examples, with what `mask_loss` needs besides their tensors."""
        batch: Batch = default_collate(examples)
        return batch

    def __getitem__(self, item: Item) -> tuple[Tensor, Tensor]:
        """Return the image ``(3, S, S)`` uint8 and the target of an item (index, augmentation seed)."""
        index, seed = item
        pair = self.pairs[index]
        image, target = self.transform(np.ascontiguousarray(pair[..., :3]), self.target(pair[..., 3:]), seed=seed)
        return torch.from_numpy(image).permute(2, 0, 1), self.as_tensor(target)


class SegmentationExamples(PairExamples):
    """Augmented images with their masks: ``(3, S, S)`` uint8 and ``(S, S)`` uint8."""

    def target(self, stored: NDArray[np.uint8]) -> Any:
        """Return the mask ``(H, W)``."""
        return np.ascontiguousarray(stored[..., 0])

    def as_tensor(self, target: Any) -> Tensor:
        """Return ``(S, S)`` uint8; `mask_loss` widens it on the device, after an eighth of the transfer."""
        return torch.from_numpy(np.ascontiguousarray(target))

    @staticmethod
    def collate(examples: list[tuple[Tensor, ...]]) -> Batch:
        """Return images, masks, and the `Contents` of the masks, for which a loss would wait for the GPU."""
        images, masks = default_collate(examples)
        return [images, masks, contents_of(masks)]


def mask_loss(loss: Loss, deep_supervision: DeepSupervisionConfig) -> Callable[[nn.Module, Batch], Tensor]:
    """Return the loss function (network, batch) → scalar of the training loop.

    Args:
        deep_supervision: weights of the outputs.
    """

    def compute(model: nn.Module, batch: Batch) -> Tensor:
        images, target, *contents = batch
        outputs: Tensor | list[Tensor] = model(images)
        if not target.is_floating_point():
            target = target.long()
        elif not loss.takes_soft:
            target = hard(target)
        if isinstance(outputs, Tensor):
            outputs = [outputs]
        with known_contents(target, *contents) if contents else nullcontext():
            return deep_loss(loss, outputs, target, deep_supervision)

    return compute
