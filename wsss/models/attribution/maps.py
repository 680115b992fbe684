"""Maps of whole images by any of the methods, over several scales and mirrored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.models.attribution.config import MapMethod
from wsss.models.attribution.gradients import frozen, layer_stride
from wsss.models.classifier import CAMClassifier
from wsss.models.multiscale_cam import Grid, Stack, views


def attribution_maps(
    classifier: CAMClassifier,
    images: NDArray[np.uint8],
    wanted: Tensor,
    method: MapMethod,
    *,
    scales: Sequence[float],
    flip: bool,
    stride: int,
    max_side: int | None = None,
) -> Tensor:
    """Compute the maps of images of one size, as `wsss.models.multiscale_cam.class_maps` does for plain CAMs.

    As many images as for plain maps go through the network at once, but it also keeps what it needs to go back:
    two to four times the memory.

    Args:
        classifier: in evaluation mode; the images go to its device. No gradient stays in it.
        images: ``(B, H, W, 3)`` uint8 RGB.
        wanted: ``(B, K)`` booleans: which classes get a map.
        method: which kind of map, with its settings.
        scales, flip, stride, max_side: see `wsss.models.multiscale_cam.class_maps`.

    Returns:
        ``(B, K, h, w)`` ≥ 0, summed over scales and mirror images; zero for classes that aren't wanted.
    """
    grid = Grid(len(images), (images.shape[1], images.shape[2]), stride)
    device = classifier.head.weight.device
    if not wanted.any():
        return torch.zeros(*wanted.shape, *grid.size, device=device)
    layers = method.map_layers()
    placed = [Stack(len(scales) * (2 if flip else 1)) for _ in layers]
    with frozen(classifier):
        for batch in views(images, scales=scales, flip=flip, max_side=max_side, device=device):
            each = wanted.to(device).repeat(len(batch) // len(images), 1)
            for layer, maps, into in zip(layers, method.compute(classifier, batch, each), placed, strict=True):
                into.add(grid.place(maps, batch, layer_stride(classifier, layer)))
    return method.combine([stack.sum() for stack in placed])
