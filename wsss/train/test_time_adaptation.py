"""Adapt a trained classifier to one image, by the labels of that image's own tiles.

What all images teach is right for most of them: mortar is greyer and lighter than brick. Where it is darker, a few
steps on the own tiles of such a wall say so; many steps would learn those few tiles by heart.
"""

from __future__ import annotations

import copy

import torch
from torch.nn import functional as F

from wsss.models.classifier import CAMClassifier
from wsss.train.classification import TileExamples
from wsss.train.sample_order import derive_seed

WEIGHT_DECAY = 0.01


def adapted(classifier: CAMClassifier, tiles: TileExamples, *, steps: int, lr: float, seed: int) -> CAMClassifier:
    """Return a copy of the classifier, in evaluation mode, trained on with AdamW for a few steps.

    Every step takes all of the tiles, each mirrored or turned at random. Samplers stay as they are: the offsets of an
    expansion sampler would learn to make the loss larger.

    Args:
        classifier: stays as it is.
        tiles: of one image.
        steps, lr: number of steps, and their constant learning rate.
        seed: decides how tiles are turned, and dropout.
    """
    copied = copy.deepcopy(classifier).requires_grad_(True)
    copied.samplers.requires_grad_(False)
    device = copied.head.weight.device
    learning = [parameter for parameter in copied.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=lr, weight_decay=WEIGHT_DECAY)
    copied.train()
    for step in range(steps):
        torch.manual_seed(derive_seed("adapt", seed, step))
        turned = [tiles[index, derive_seed("adapt", seed, step, index)] for index in range(len(tiles))]
        pixels, labels, statistics = (torch.stack(parts).to(device) for parts in zip(*turned, strict=True))
        loss = F.multilabel_soft_margin_loss(copied(pixels, statistics), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return copied.eval()
