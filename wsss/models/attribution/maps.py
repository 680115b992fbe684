"""Maps of whole images by any method, summed over scales and mirror images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.models.attribution.gradients import frozen, layer_offset, layer_stride
from wsss.models.attribution.map_method import MapMethod
from wsss.models.attribution.multiscale_cam import Grid, Total, views
from wsss.models.classifier import CAMClassifier


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
    """Compute the maps of images of one size, like `wsss.models.attribution.multiscale_cam.class_maps` for plain CAMs.

    Batches are as large as for plain maps; activations kept for the backward pass take two to four times the memory.

    Args:
        classifier: in evaluation mode; the images are moved to its device.
        images: ``(B, H, W, 3)`` uint8 RGB.
        selected: ``(B, K)`` booleans: the classes of each image.
        method: kind of maps, with its settings.
        scales, flip, stride, max_side: see `wsss.models.attribution.multiscale_cam.class_maps`.

    Returns:
        ``(B, K', h, w)`` ≥ 0, summed over scales and mirror images, of the classes selected in any image; zero for
        images in which the class is not selected.
    """
    grid = Grid((images.shape[1], images.shape[2]), stride)
    device = classifier.head.weight.device
    kept = selected.any(0).nonzero()[:, 0].to(device)
    if not len(kept):
        return torch.zeros(len(images), 0, *grid.size, device=device)
    layers = method.map_layers()
    totals = [Total(grid) for _ in layers]
    with frozen(classifier):
        for view in views(images, scales=scales, flip=flip, max_side=max_side, device=device):
            repeated = selected.to(device).repeat(len(view.mirrored), 1)
            computed = method.compute(classifier, view.pixels, repeated)
            for layer, maps, total in zip(layers, computed, totals, strict=True):
                step, offset = layer_stride(classifier, layer), layer_offset(classifier, layer)
                total.add(maps[:, kept], view.frame, step, offset)
    return method.combine([total.maps for total in totals])
