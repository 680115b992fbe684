"""Maps of whole images by any method, summed over scales and mirror images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.errors import InvalidInput, Verbatim
from wsss.models.attribution.gradients import frozen, layer_offset, layer_stride
from wsss.models.attribution.map_method import MapMethod
from wsss.models.attribution.multiscale_cam import Grid, Total, views
from wsss.models.classifier import CAMClassifier
from wsss.models.config import Layer


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

    Raises:
        InvalidInput: a method of another package returned maps of the wrong shape.
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
                cells = [side / step for side in view.frame.size]
                _require_shape(maps, method, layer, batch=repeated.shape, cells=cells)
                total.add(maps[:, kept], view.frame, step, offset)
    return method.combine([total.maps for total in totals])


def _require_shape(
    maps: Tensor, method: MapMethod, layer: Layer, *, batch: Sequence[int], cells: Sequence[float]
) -> None:
    """Require maps of all images and classes at the resolution of their layer.

    If they had the resolution of the image, only their upper left corner would be used. Convolutions without padding
    make maps of the right resolution a few elements shorter.

    Args:
        maps: one element of `MapMethod.compute`'s result.
        batch: the numbers of images and classes.
        cells: height and width of the image in elements of the layer.
    """
    fits = maps.ndim == 4 and all(
        cell - 4 < length <= math.ceil(cell) + 1 for length, cell in zip(maps.shape[2:], cells, strict=True)
    )
    if not fits or maps.shape[:2] != tuple(batch):
        height, width = map(math.ceil, cells)
        raise InvalidInput(
            f"invalid maps of the layer {layer}",
            subject=f"cam.method {method.name}",
            found=Verbatim(tuple(maps.shape)),
            allowed=f"(images, classes, h, w), at the resolution of the layer about {(*batch, height, width)}",
        )
