"""Class activation maps of whole images, summed over scales and mirror images (as in IRN: Ahn et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.data.resizing import scaled
from wsss.io.rasters.working_size import reduction
from wsss.models.classifier import CAMClassifier

Normalisation = Literal["max", "minmax"]
Activation = Literal["relu", "sigmoid"]


@dataclass(frozen=True)
class RawMaps:
    """Maps of a batch before normalisation.

    Args:
        maps: ``(B, K, h, w)`` ≥ 0, summed over scales and mirror images.
        probabilities: ``(B, K)`` of each class, averaged over scales and mirror images.
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
    activation: Activation = "relu",
) -> RawMaps:
    """Compute the maps of images of one size.

    Args:
        classifier: in evaluation mode; the images are moved to its device.
        images: ``(B, H, W, 3)`` uint8 RGB.
        scales: scale factors of the image.
        flip: also use the mirror image.
        stride: pixels of the image per element of a map.
        max_side: maximum side length in pixels; larger images are downscaled for the
            network only.
        activation: applied to the class scores of every view.
    """
    device = classifier.head.weight.device
    grid = Grid(len(images), (images.shape[1], images.shape[2]), stride)
    maps = Stack(len(scales) * (2 if flip else 1))
    probabilities: list[Tensor] = []
    for batch in views(images, scales=scales, flip=flip, max_side=max_side, device=device):
        scores = classifier.maps(classifier.features(batch))
        probabilities.append(classifier.pooling(scores).unflatten(0, (-1, len(images))).sigmoid().mean(0))
        activated = scores.relu() if activation == "relu" else scores.sigmoid()
        trunk = classifier.backbone
        maps.add(grid.place(activated, batch, trunk.output_stride, trunk.output_offset))
    return RawMaps(maps.sum(), torch.stack(probabilities).mean(0))


class Stack:
    """Sum of tensors, equal to ``torch.stack(tensors).sum(0)`` bit by bit, in half the memory.

    Args:
        count: number of tensors that will be added.
    """

    def __init__(self, count: int) -> None:
        self.count, self.filled = count, 0
        self.stacked: Tensor | None = None

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Add tensors."""
        for tensor in tensors:
            if self.stacked is None:
                self.stacked = tensor.new_empty((self.count, *tensor.shape))
            self.stacked[self.filled] = tensor
            self.filled += 1

    def sum(self) -> Tensor:
        """Return the sum of all ``count`` tensors."""
        assert self.stacked is not None and self.filled == self.count
        return self.stacked.sum(0)


def views(
    images: NDArray[np.uint8], *, scales: Sequence[float], flip: bool, max_side: int | None, device: torch.device
) -> Iterator[Tensor]:
    """Yield the input of the network at each scale: the images, with ``flip`` followed by their mirror images.

    Args:
        images, scales, flip, max_side: see `class_maps`.
        device: device of the result.

    Yields:
        ``(B, 3, H', W')`` uint8, or 2·B images with ``flip``.
    """
    fit = reduction(images.shape[1:3], max_side)
    for scale in scales:
        batch = torch.from_numpy(np.stack([scaled(image, scale * fit) for image in images])).to(device)
        batch = batch.permute(0, 3, 1, 2)  # channels last in memory: faster convolutions
        yield torch.cat([batch, batch.flip(3)]) if flip else batch


@dataclass(frozen=True)
class Grid:
    """The grid of the final maps, on which those of all scales are summed.

    Args:
        images: number B of images.
        pixels: their height and width.
        stride: pixels per element.
    """

    images: int
    pixels: tuple[int, int]
    stride: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the final maps."""
        return -(-self.pixels[0] // self.stride), -(-self.pixels[1] // self.stride)

    def place(self, maps: Tensor, batch: Tensor, step: int, offset: float = 0.0) -> list[Tensor]:
        """Resample maps of one of the `views` to the grid, and flip those of mirror images back.

        Args:
            maps: ``(N, K, h', w')``, N = B, or 2·B with mirror images.
            batch: input of the network, ``(N, 3, H', W')``.
            step: pixels of ``batch`` per element of ``maps``.
            offset: pixel of ``batch`` on which element 0 is centred; see `wsss.models.trunk.Level`.

        Returns:
            One or two tensors ``(B, K, h, w)``.
        """
        rows = resampling(maps.shape[2], batch.shape[2], step, self.size[0], offset).to(maps.device)
        columns = resampling(maps.shape[3], batch.shape[3], step, self.size[1], offset).to(maps.device)
        resampled = rows @ maps @ columns.T
        upright, mirrored = resampled[: self.images], resampled[self.images :]
        return [upright, mirrored.flip(3)] if len(mirrored) else [upright]


def resampling(features: int, pixels: int, step: int, targets: int, offset: float = 0.0) -> Tensor:
    """Return the matrix ``(targets, features)`` of linear interpolation along one side of a feature map.

    Feature i is centred on pixel ``offset + step·i``. Bilinear upsampling assumes an offset of ``(step − 1)/2``, that
    of patches; for convolutions, whose offset is 0, it would shift maps by 7.5 pixels at stride 16, down and right.

    Args:
        features: length of the feature map.
        pixels: length of the network's input.
        step: pixels per feature.
        targets: length of the result, whose elements divide the side evenly.
        offset: pixel on which feature 0 is centred.
    """
    centres = (torch.arange(targets, dtype=torch.float64) + 0.5) * pixels / targets - 0.5
    position = ((centres - offset) / step).clamp(0, features - 1)
    lower = position.floor().long()
    upper = (lower + 1).clamp(max=features - 1)
    weight = position - lower
    matrix = torch.zeros(targets, features, dtype=torch.float64)
    rows = torch.arange(targets)
    matrix.index_put_((rows, lower), 1 - weight, accumulate=True)
    matrix.index_put_((rows, upper), weight, accumulate=True)
    return matrix.float()


def tapered(maps: Tensor, strength: float) -> Tensor:
    """Multiply maps ``(…, h, w)`` by ``exp(−strength·(x² + y²))``; x and y run from −1 to 1 across each map."""
    if not strength:
        return maps
    rows, columns = (((torch.arange(n, device=maps.device) + 0.5) / n * 2 - 1) ** 2 for n in maps.shape[-2:])
    return maps * torch.exp(-strength * (rows[:, None] + columns))


def normalise(maps: Tensor, how: Normalisation) -> Tensor:
    """Scale each map of ``(…, h, w)`` ≥ 0 to [0, 1].

    Args:
        maps: any leading axes.
        how: ``max`` divides by the map's maximum; ``minmax`` subtracts its minimum first. Maps that are zero
            (for ``minmax``: constant) everywhere become zero.

    """
    if how == "minmax":
        maps = maps - maps.amin((-2, -1), keepdim=True)
    largest = maps.amax((-2, -1), keepdim=True)
    return torch.where(largest > 0, maps / largest.clamp(min=torch.finfo(maps.dtype).tiny), torch.zeros_like(maps))
