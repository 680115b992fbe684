"""Training on corrected masks with a weight: examples that mark corrected pixels, and their loss.

``L(all pixels) + (w − 1) · f · L(corrected pixels)``, where ``f`` is the fraction of the labelled pixels of a batch
that are corrected. For losses that are means over labelled pixels (cross entropy) this is the mean in which corrected
pixels count w times (divided by the number of pixels, not by the sum of weights). Every other loss has the same form,
since all of them leave out ignored pixels; a weight per pixel would need a definition for each of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.base import Loss
from wsss.losses.targets import contents_of, known_contents
from wsss.train.config import DeepSupervisionConfig
from wsss.train.sample_order import Item
from wsss.train.tasks.deep_supervision import deep_loss
from wsss.train.tasks.segmentation import SegmentationExamples
from wsss.train.training_job import Batch


class CorrectedExamples(SegmentationExamples):
    """Augmented images with their masks and corrected masks: ``(3, S, S)``, ``(S, S)`` and ``(S, S)`` uint8.

    The pairs have five channels, see `wsss.train.tasks.segmentation.PairLoader`.
    """

    def __getitem__(self, item: Item) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Return image, mask, and corrected mask (255 where it is not labelled) of an item."""
        image, mask = super().__getitem__(item)
        index, seed = item
        pair = self.pairs[index]
        if (pair[..., 4] == IGNORE).all():
            return image, mask, torch.full_like(mask, IGNORE)
        # the same seed gives the same crop
        rgb, corrected = (np.ascontiguousarray(pair[..., part]) for part in (slice(3), 4))
        return image, mask, self.as_tensor(self.transform(rgb, corrected, seed=seed)[1])

    @staticmethod
    def collate(examples: list[tuple[Tensor, ...]]) -> Batch:
        """Return images, both kinds of masks, and of each kind the `Contents` and the number of labelled pixels."""
        images, *masks = default_collate(examples)
        return [images, *masks, *((contents_of(mask), _labelled_pixels(mask)) for mask in masks)]


def _labelled_pixels(mask: Tensor) -> int:
    return int((mask != IGNORE).sum())


def weighted_mask_loss(
    loss: Loss, deep_supervision: DeepSupervisionConfig, weight: float
) -> Callable[[nn.Module, Batch], Tensor]:
    """Return the loss function (network, batch) → scalar of the training loop, for `CorrectedExamples`.

    Args:
        deep_supervision: weights of the outputs.
        weight: w of corrected pixels, at least 1.
    """

    def compute(model: nn.Module, batch: Batch) -> Tensor:
        images, mask, corrected, (contents, pixels), (corrected_contents, corrected_pixels) = batch
        outputs: Tensor | list[Tensor] = model(images)
        outputs = [outputs] if isinstance(outputs, Tensor) else outputs
        target = mask.long()
        with known_contents(target, contents):
            total = deep_loss(loss, outputs, target, deep_supervision)
        if not corrected_pixels:
            return total
        share, target = corrected_pixels / pixels, corrected.long()
        with known_contents(target, corrected_contents):
            return total + (weight - 1) * share * deep_loss(loss, outputs, target, deep_supervision)

    return compute
