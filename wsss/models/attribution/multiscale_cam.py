"""Class activation maps of whole images, summed over scales and mirror images (as in IRN: Ahn et al., CVPR 2019)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.data.image_transforms.resizing import scaled
from wsss.io.rasters.working_size import reduction
from wsss.models.attribution.class_scores import class_score_function, exceeds_tile, tiled_scores
from wsss.models.classifier import CAMClassifier
from wsss.models.config import InferencePrecision
from wsss.models.windows.tile_windows import Tiling

Normalisation = Literal["max", "minmax"]
Activation = Literal["relu", "sigmoid"]

CPU = torch.device("cpu")


@dataclass(frozen=True)
class RawMaps:
    """Maps of a batch before normalisation.

    Args:
        maps: ``(B, K', h, w)`` ≥ 0 of the selected classes, summed over scales and mirror images.
        probabilities: ``(B, K)`` of all classes, averaged over scales and mirror images.
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
    tiling: Tiling | None = None,
    activation: Activation = "relu",
    clamp: Callable[[], Sequence[bool]] | None = None,
    select: Callable[[Tensor], Sequence[int]] | None = None,
    precision: InferencePrecision = "32-true",
) -> RawMaps:
    """Compute the maps of images of one size.

    Args:
        classifier: in evaluation mode; the images are moved to its device.
        images: ``(B, H, W, 3)`` uint8 RGB.
        stride: pixels of the image per element of a map.
        max_side: maximum side length in pixels; larger images are downscaled for the
            network only.
        tiling: tiles of images that are larger than one at any scale; their scores are blended before they are pooled
            and resampled, so that memory for the network is bounded.
        activation: applied to the class scores of every view.
        clamp: returns for every image, after ``select`` was called, whether its maps are computed without the negative
            weights of the head (negative weight clamping: Bae, Noh & Kim, "Rethinking Class Activation Mapping for
            Weakly Supervised Object Localization", ECCV 2020); the probabilities are those of all weights.
        select: probabilities ``(B, K)`` → indices < K of the classes whose maps are computed, all by default. Only
            their scores are upsampled.
        precision: of the network; maps are summed in single precision.
    """
    options: dict[str, Any] = {"scales": scales, "flip": flip, "max_side": max_side}
    if tiling is not None and exceeds_tile(images.shape[1:3], scales, max_side, tiling):
        options |= {"tiling": tiling, "clamp_weights": clamp is not None}
        scored = _tiled(classifier, images, precision=precision, **options)
    else:
        device = classifier.head.weight.device
        compute = class_score_function(classifier, precision, device, clamp_weights=clamp is not None)
        scored = [(view.frame, compute(view.pixels)) for view in views(images, device=device, **options)]
    classes = classifier.head.out_channels
    probabilities = torch.cat([classifier.pooling(scores[:, :classes].float()).sigmoid() for _, scores in scored])
    probabilities = probabilities.unflatten(0, (-1, len(images))).mean(0)
    selected = slice(None) if select is None else list(select(probabilities))
    clamped = [False] * len(images) if clamp is None else list(clamp())
    total, trunk = Total(Grid((images.shape[1], images.shape[2]), stride)), classifier.backbone
    for frame, scores in scored:
        kept = _of_images(scores, clamped, classes)[:, selected].float()
        activated = kept.relu() if activation == "relu" else kept.sigmoid()
        total.add(activated, frame, trunk.output_stride, trunk.output_offset)
    return RawMaps(total.maps, probabilities)


def _tiled(classifier: CAMClassifier, images: NDArray[np.uint8], **options: Any) -> list[tuple[Frame, Tensor]]:
    """Return the scores of every view of images in tiles, image by image."""
    of_images = [list(tiled_scores(classifier, image, **options)) for image in images]
    return [
        (Frame(same_view[0][0], (same_view[0][1],)), torch.cat([scores for *_, scores in same_view]))
        for same_view in zip(*of_images, strict=True)
    ]


def _of_images(scores: Tensor, clamped: Sequence[bool], classes: int) -> Tensor:
    """Return the first ``classes`` channels of a view's scores, and for clamped images the last ones.

    Args:
        scores: ``(N, K or 2·K, h, w)``, all images once or twice; see `class_score_function`.
        clamped: for every image.
    """
    if len(set(clamped)) == 1:
        return scores[:, -classes:] if clamped[0] else scores[:, :classes]
    repeated = torch.tensor(clamped, device=scores.device).repeat(len(scores) // len(clamped))
    return torch.where(repeated[:, None, None, None], scores[:, -classes:], scores[:, :classes])


@dataclass(frozen=True)
class Frame:
    """Size and orientation of a view.

    Args:
        size: its height and width.
        mirrored: for every part of a batch of equal parts, whether it consists of mirror images.
    """

    size: tuple[int, int]
    mirrored: tuple[bool, ...]


@dataclass(frozen=True)
class View:
    """Input of the network at one scale.

    Args:
        pixels: ``(N, 3, H', W')`` uint8: B images, once per element of ``mirrored``.
        mirrored: whether each B of them are mirror images.
    """

    pixels: Tensor
    mirrored: tuple[bool, ...]

    @property
    def frame(self) -> Frame:
        """Its size and orientation."""
        return Frame((self.pixels.shape[2], self.pixels.shape[3]), self.mirrored)


def views(
    images: NDArray[np.uint8], *, scales: Sequence[float], flip: bool, max_side: int | None, device: torch.device
) -> Iterator[View]:
    """Yield the images at each scale, with ``flip`` also their mirror images.

    A GPU gets both in one batch. On a CPU a batch of two is slower than two batches, and takes more memory.

    Args:
        images, scales, flip, max_side: see `class_maps`.
    """
    fit = reduction(images.shape[1:3], max_side)
    for scale in scales:
        batch = torch.from_numpy(np.stack([scaled(image, scale * fit) for image in images])).to(device)
        batch = batch.permute(0, 3, 1, 2)  # channels last in memory: faster convolutions
        if flip and device.type != "cpu":
            yield View(torch.cat([batch, batch.flip(3)]), (False, True))
            continue
        yield View(batch, (False,))
        if flip:
            yield View(batch.flip(3), (True,))


@dataclass(frozen=True)
class Grid:
    """The grid of the final maps, on which those of all scales are summed.

    Args:
        pixels: height and width of the images.
        stride: pixels per element.
    """

    pixels: tuple[int, int]
    stride: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the final maps."""
        return -(-self.pixels[0] // self.stride), -(-self.pixels[1] // self.stride)

    def place(self, maps: Tensor, frame: Frame, step: int, offset: float = 0.0) -> list[Tensor]:
        """Resample maps of a view to the grid, and flip those of mirror images back.

        Args:
            maps: ``(N, K, h', w')``.
            frame: size and orientation of the view.
            step: pixels of the view per element of ``maps``.
            offset: pixel of the view on which element 0 is centred; see `wsss.models.trunk.Level`.

        Returns:
            Tensors ``(B, K, h, w)``, one per element of ``frame.mirrored``.
        """
        height, width = frame.size
        rows = resampling(maps.shape[2], height, step, self.size[0], offset, device=maps.device)
        columns = resampling(maps.shape[3], width, step, self.size[1], offset, device=maps.device)
        parts = (rows @ maps @ columns.T).chunk(len(frame.mirrored))
        return [part.flip(3) if mirrored else part for part, mirrored in zip(parts, frame.mirrored, strict=True)]


class Total:
    """The sum of maps over views, added one after the other."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._sum: Tensor | None = None

    def add(self, maps: Tensor, frame: Frame, step: int, offset: float = 0.0) -> None:
        """Add the maps of a view; see `Grid.place`."""
        for part in self.grid.place(maps, frame, step, offset):
            self._sum = part if self._sum is None else self._sum.add_(part)

    @property
    def maps(self) -> Tensor:
        """The sum ``(B, K, h, w)``, of at least one view."""
        assert self._sum is not None, "at least one scale"
        return self._sum


@functools.lru_cache(maxsize=32)
def resampling(
    features: int, pixels: int, step: int, targets: int, offset: float = 0.0, *, device: torch.device = CPU
) -> Tensor:
    """Return the matrix ``(targets, features)`` of linear interpolation along one side of a feature map.

    It is kept for other maps of these sizes: do not modify it.

    Feature i is centred on pixel ``offset + step·i``. Bilinear upsampling assumes an offset of ``(step − 1)/2``, that
    of patches; for convolutions, whose offset is 0, it would shift maps by 7.5 pixels at stride 16, down and right.

    Args:
        features: length of the feature map.
        pixels: length of the network's input.
        step: pixels per feature.
        targets: length of the result, whose elements divide the side evenly.
        offset: pixel on which feature 0 is centred.
        device: where the matrix is kept; it is computed in main memory, in double precision.
    """
    with torch.inference_mode(False):  # kept tensors made in inference mode could not be used in training
        centres = (torch.arange(targets, dtype=torch.float64) + 0.5) * pixels / targets - 0.5
        position = ((centres - offset) / step).clamp(0, features - 1)
        lower = position.floor().long()
        upper = (lower + 1).clamp(max=features - 1)
        weight = position - lower
        matrix = torch.zeros(targets, features, dtype=torch.float64)
        rows = torch.arange(targets)
        matrix.index_put_((rows, lower), 1 - weight, accumulate=True)
        matrix.index_put_((rows, upper), weight, accumulate=True)
        return matrix.float().to(device)


def with_centre_prior(maps: Tensor, strength: float) -> Tensor:
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
