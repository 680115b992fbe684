"""Class scores of a classifier at the resolution of its features: of whole images, or blended from tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.io.rasters.working_size import reduction, scaled_size
from wsss.models.classifier import CAMClassifier
from wsss.models.config import InferencePrecision
from wsss.models.mixed_precision import autocast
from wsss.models.windows.scaled_crops import ScaledImage
from wsss.models.windows.tile_limits import tile_multiple
from wsss.models.windows.tile_windows import TileWindow, Tiling, tile_windows
from wsss.models.windows.view_windows import ViewWindows, pooling_calls


def exceeds_tile(size: Sequence[int], scales: Sequence[float], max_side: int | None, tiling: Tiling | None) -> bool:
    """Return whether an image of a size (height, width) is larger than a tile at any scale."""
    return tiling is not None and max(size) * reduction(size, max_side) * max(scales) > tiling.tile


def class_score_function(
    classifier: CAMClassifier, precision: InferencePrecision, device: torch.device, *, clamp_weights: bool = False
) -> Callable[[Tensor], Tensor]:
    """Return the classifier as a function from images ``(B, 3, H, W)`` uint8 to class scores ``(B, K, h, w)``.

    Args:
        clamp_weights: append the scores without the negative weights of the head: ``(B, 2·K, h, w)``.
    """
    weight = classifier.head.weight
    doubled = torch.cat([weight, weight.relu()]) if clamp_weights else None

    def compute(pixels: Tensor) -> Tensor:
        with autocast(precision, device):
            return classifier.maps(classifier.features(pixels), doubled)

    return compute


def tiled_scores(
    classifier: CAMClassifier,
    image: NDArray[np.uint8],
    *,
    scales: Sequence[float],
    flip: bool,
    max_side: int | None,
    tiling: Tiling,
    precision: InferencePrecision,
    clamp_weights: bool = False,
) -> Iterator[tuple[tuple[int, int], bool, Tensor]]:
    """Yield height and width of every view, whether it is mirrored, and its class scores ``(1, K, h, w)``.

    With ``clamp_weights``, the scores are ``(1, 2·K, h, w)``.

    Args:
        classifier, scales, flip, max_side, precision: see `wsss.models.attribution.multiscale_cam.class_maps`.
        clamp_weights: see `class_score_function`.
        image: ``(H, W, 3)`` uint8 RGB.
        tiling: size of the tiles, at every scale.
    """
    compute = class_score_function(classifier, precision, classifier.head.weight.device, clamp_weights=clamp_weights)
    multiple, trunk = tile_multiple(classifier), classifier.backbone
    poolings = pooling_calls(classifier, compute, 2 * multiple)
    fit = reduction(image.shape[:2], max_side)
    for scale in scales:
        picture = ScaledImage(image, scaled_size(image.shape[:2], fit * scale))
        rows, columns = (tile_windows(length, tiling.tile, tiling.overlap, multiple) for length in picture.size)
        for mirrored in (False, True) if flip else (False,):
            view = ViewWindows(classifier, compute, picture, mirrored=mirrored)
            if len(rows) * len(columns) > 1:
                view.measure(poolings, product(rows, columns))
            yield picture.size, mirrored, _blended(view, rows, columns, trunk.output_stride, trunk.output_offset)


def _blended(
    view: ViewWindows, rows: Sequence[TileWindow], columns: Sequence[TileWindow], stride: int, offset: float
) -> Tensor:
    """Return the scores of a view; those of overlapping tiles are weighted at the pixels of the features."""
    total: Tensor | None = None
    for down, across in product(rows, columns):
        scores = view(down.window, across.window).float()
        if total is None:
            height, width = (-(-length // stride) for length in view.size)
            total = scores.new_zeros(1, scores.shape[1], height, width)
        top, left = down.window.start // stride, across.window.start // stride
        weights = [
            torch.from_numpy(_feature_weights(tile, count, stride, offset)).to(scores.device)
            for tile, count in ((down, scores.shape[2]), (across, scores.shape[3]))
        ]
        part = total[:, :, top : top + scores.shape[2], left : left + scores.shape[3]]
        part += scores * (weights[0][:, None] * weights[1])
    assert total is not None, "at least one tile"
    return total


def _feature_weights(tile: TileWindow, count: int, stride: int, offset: float) -> NDArray[np.float32]:
    """Return the weight of the pixels on which the features of a tile are centred, 0 outside its part."""
    weights = np.zeros(tile.window.stop - tile.window.start, np.float32)
    start = tile.window.start
    weights[tile.part.start - start : tile.part.stop - start] = tile.weights()
    return weights[(np.arange(count) * stride + int(offset)).clip(max=len(weights) - 1)]
