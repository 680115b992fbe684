"""Training on corrected masks with a weight: examples that mark corrected pixels, and their loss.

``L(all pixels) + (w − 1) · f · L(corrected pixels)``, where ``f`` is the fraction of the labelled pixels of a batch
that are corrected. For losses that are means over labelled pixels (cross entropy) this is the mean in which corrected
pixels count w times (divided by the number of pixels, not by the sum of weights). Every other loss has the same form,
since all of them leave out ignored pixels; a weight per pixel would need a definition for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from wsss.io.rasters.label_masks import IGNORE
from wsss.losses.base import Loss
from wsss.train.config import DeepSupervisionConfig
from wsss.train.sample_order import Item
from wsss.train.tasks.deep_supervision import deep_loss
from wsss.train.tasks.segmentation import SegmentationExamples


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


def weighted_mask_loss(
    loss: Loss, deep_supervision: DeepSupervisionConfig, weight: float
) -> Callable[[nn.Module, Sequence[Tensor]], Tensor]:
    """Return the loss function (network, batch) → scalar of the training loop, for `CorrectedExamples`.

    Args:
        loss: loss of one output.
        deep_supervision: weights of the outputs.
        weight: w of corrected pixels, at least 1.
    """

    def compute(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
        images, mask, corrected = batch
        outputs: Tensor | list[Tensor] = model(images)
        outputs = [outputs] if isinstance(outputs, Tensor) else outputs
        total = deep_loss(loss, outputs, mask.long(), deep_supervision)
        count = int((corrected != IGNORE).sum())
        if not count:
            return total
        share = count / int((mask != IGNORE).sum())
        return total + (weight - 1) * share * deep_loss(loss, outputs, corrected.long(), deep_supervision)

    return compute
