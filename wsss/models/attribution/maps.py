"""Maps of whole images by any method, summed over scales and mirror images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.models.attribution.gradients import frozen, layer_offset, layer_stride
from wsss.models.attribution.map_method import MapMethod
from wsss.models.classifier import CAMClassifier
from wsss.models.multiscale_cam import Grid, Stack, views


def attribution_maps(
    classifier: CAMClassifier,
    images: NDArray[np.uint8],
    selected: Tensor,
    method: MapMethod,
    *,
    scales: Sequence[float],
    flip: bool,
    stride: int,
    max_side: int | None = None,
) -> Tensor:
    """Compute the maps of images of one size, like `wsss.models.multiscale_cam.class_maps` for plain CAMs.

    Batches are as large as for plain maps; activations kept for the backward pass take two to four times the memory.

    Args:
        classifier: in evaluation mode; the images are moved to its device.
        images: ``(B, H, W, 3)`` uint8 RGB.
        selected: ``(B, K)`` booleans: the classes of each image.
        method: kind of maps, with its settings.
        scales, flip, stride, max_side: see `wsss.models.multiscale_cam.class_maps`.

    Returns:
        ``(B, K, h, w)`` ≥ 0, summed over scales and mirror images; zero for classes that are not selected.
    """
    grid = Grid(len(images), (images.shape[1], images.shape[2]), stride)
    device = classifier.head.weight.device
    if not selected.any():
        return torch.zeros(*selected.shape, *grid.size, device=device)
    layers = method.map_layers()
    stacks = [Stack(len(scales) * (2 if flip else 1)) for _ in layers]
    with frozen(classifier):
        for batch in views(images, scales=scales, flip=flip, max_side=max_side, device=device):
            repeated = selected.to(device).repeat(len(batch) // len(images), 1)
            for layer, maps, stack in zip(layers, method.compute(classifier, batch, repeated), stacks, strict=True):
                stride, offset = layer_stride(classifier, layer), layer_offset(classifier, layer)
                stack.add(grid.place(maps, batch, stride, offset))
    return method.combine([stack.sum() for stack in stacks])
