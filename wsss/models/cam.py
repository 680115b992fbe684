"""Class activation maps of whole images, over several scales and mirrored (as IRN does: Ahn et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.data.transforms import scaled
from wsss.models.classifier import CAMClassifier

Normalisation = Literal["max", "minmax"]


@dataclass(frozen=True)
class RawMaps:
    """Maps of a batch before normalisation.

    Args:
        maps: ``(B, K, h, w)`` ≥ 0, summed over scales and mirror images.
        probabilities: ``(B, K)`` that a class is in the image, mean over scales and mirror images.
    """

    maps: Tensor
    probabilities: Tensor


@torch.no_grad()
def class_maps(
    classifier: CAMClassifier,
    images: NDArray[np.uint8],
    *,
    scales: Sequence[float],
    flip: bool,
    stride: int,
    max_side: int | None = None,
) -> RawMaps:
    """Compute the maps of images of one size.

    Args:
        classifier: in evaluation mode; the images go to its device.
        images: ``(B, H, W, 3)`` uint8 RGB.
        scales: factors on the size of the image.
        flip: also use the mirror image.
        stride: pixels of the image per element of a map.
        max_side: larger images are first made smaller, to this longer side (pixels); the maps keep their size.
    """
    fit = min(1.0, max_side / max(images.shape[1:3])) if max_side else 1.0
    device = classifier.head.weight.device
    size = images.shape[1:3]
    grid = tuple(-(-side // stride) for side in size)
    maps: list[Tensor] = []
    logits: list[Tensor] = []
    for scale in scales:
        batch = torch.from_numpy(np.stack([scaled(image, scale * fit) for image in images])).to(device)
        batch = batch.permute(0, 3, 1, 2)  # channels last in memory, as the network's convolutions like it
        if flip:
            batch = torch.cat([batch, batch.flip(3)])
        found = classifier.maps(classifier.features(batch))
        logits.append(classifier.pooling(found).unflatten(0, (-1, len(images))).sigmoid().mean(0))
        positive = found.relu()
        step = classifier.backbone.output_stride
        rows = resampling(positive.shape[2], batch.shape[2], step, grid[0]).to(device)
        columns = resampling(positive.shape[3], batch.shape[3], step, grid[1]).to(device)
        resampled = rows @ positive @ columns.T
        maps.append(resampled[: len(images)])
        if flip:
            maps.append(resampled[len(images) :].flip(3))
    return RawMaps(torch.stack(maps).sum(0), torch.stack(logits).mean(0))


def resampling(features: int, pixels: int, step: int, targets: int) -> Tensor:
    """Return the matrix ``(targets, features)`` of linear interpolation along one side of a feature map.

    Feature i of these networks is centred on pixel ``step·i``, not on ``step·(i + ½) − ½`` as bilinear upsampling of
    a framework assumes: with it maps would lie half a step (7.5 pixels at stride 16) too far down and right.

    Args:
        features: length of the feature map.
        pixels: length of the image that went into the network.
        step: its pixels per feature.
        targets: length of the result; its elements share the side evenly.
    """
    centres = (torch.arange(targets, dtype=torch.float64) + 0.5) * pixels / targets - 0.5
    position = (centres / step).clamp(0, features - 1)
    lower = position.floor().long()
    upper = (lower + 1).clamp(max=features - 1)
    weight = position - lower
    matrix = torch.zeros(targets, features, dtype=torch.float64)
    every = torch.arange(targets)
    matrix.index_put_((every, lower), 1 - weight, accumulate=True)
    matrix.index_put_((every, upper), weight, accumulate=True)
    return matrix.float()


def normalise(maps: Tensor, how: Normalisation) -> Tensor:
    """Scale each map of ``(…, h, w)`` ≥ 0 to [0, 1].

    Args:
        maps: any leading axes.
        how: ``max`` divides by the map's maximum; ``minmax`` subtracts its minimum first. A map that is zero
            (or constant, for ``minmax``) everywhere becomes zero.
    """
    if how == "minmax":
        maps = maps - maps.amin((-2, -1), keepdim=True)
    largest = maps.amax((-2, -1), keepdim=True)
    return torch.where(largest > 0, maps / largest.clamp(min=torch.finfo(maps.dtype).tiny), torch.zeros_like(maps))
