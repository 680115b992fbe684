"""Test-time adaptation of a classifier to one image, using the labels of that image's tiles.

A classifier learns what holds for most images: mortar is greyer and lighter than brick. A few steps on the tiles of a
wall with darker mortar correct this; many steps would overfit to them.
"""

from __future__ import annotations

import copy

import torch
from torch.nn import functional as F

from wsss.models.classifier import CAMClassifier
from wsss.train.sample_order import derive_seed
from wsss.train.tasks.classification import TileExamples

WEIGHT_DECAY = 0.01


def adapted(classifier: CAMClassifier, tiles: TileExamples, *, steps: int, lr: float, seed: int) -> CAMClassifier:
    """Return a copy of the classifier, in evaluation mode, fine-tuned with AdamW for a few steps.

    Every step uses all tiles, each mirrored or rotated at random. Samplers are frozen, because the offsets of an
    expansion sampler learn to increase the loss. Frozen layers of the trunk stay frozen.

    Args:
        classifier: the trained classifier; it is not changed.
        tiles: the tiles of one image.
        steps, lr: number of steps, and their constant learning rate.
        seed: seed of augmentation and dropout.
    """
    copied = copy.deepcopy(classifier)
    copied.samplers.requires_grad_(False)
    device = copied.head.weight.device
    learning = [parameter for parameter in copied.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=lr, weight_decay=WEIGHT_DECAY)
    copied.train()
    for step in range(steps):
        torch.manual_seed(derive_seed("adapt", seed, step))
        augmented = [tiles[index, derive_seed("adapt", seed, step, index)] for index in range(len(tiles))]
        pixels, labels, statistics = (torch.stack(parts).to(device) for parts in zip(*augmented, strict=True))

        loss = F.multilabel_soft_margin_loss(copied(pixels, statistics), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return copied.eval()
