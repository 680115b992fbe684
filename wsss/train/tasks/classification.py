"""Training and validation of classifiers: examples, loss, and scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wsss.data.image_transforms.augmentation import ClassificationAugmentation
from wsss.data.image_transforms.resizing import resize
from wsss.data.image_transforms.transforms import Transform
from wsss.data.label_matrix import label_targets
from wsss.data.sample import Sample
from wsss.data.tiles.tile_table import Tile
from wsss.io.rasters.working_size import scaled_size
from wsss.metrics.multilabel import MultilabelScores, multilabel_scores
from wsss.train.image_cache import ArrayCache, cached_images
from wsss.train.sample_order import Item


class ClassificationExamples:
    """Augmented images ``(3, S, S)`` uint8 with labels ``(K,)``: 0, 1, or NaN for unknown."""

    def __init__(
        self, images: ArrayCache, labels: NDArray[np.float32], augmentation: ClassificationAugmentation
    ) -> None:
        self.images, self.labels, self.transform = images, labels, Transform(augmentation)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: Item) -> tuple[Tensor, Tensor]:
        """Return image and labels by (index, augmentation seed)."""
        index, seed = item
        image = self.transform(self.images[index], seed=seed)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(self.labels[index].astype(np.float32))


class TileExamples:
    """Tiles with labels and the statistics of their images, augmented by the eight symmetries of a square.

    Cropping or scaling could remove a class from a tile and make its labels wrong.

    Args:
        images: the tiles, all of one size.
        labels: ``(N, K)``, 0 or 1.
        statistics: ``(N, 2, 3)`` mean and standard deviation in [0, 1] of the image that each is cut from.
    """

    def __init__(self, images: ArrayCache, labels: NDArray[np.float32], statistics: NDArray[np.float32]) -> None:
        self.images, self.labels, self.statistics = images, labels, statistics

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: Item) -> tuple[Tensor, Tensor, Tensor]:
        """Return tile ``(3, S, S)`` uint8, labels ``(K,)`` and statistics ``(2, 3)`` by (index, augmentation seed)."""
        index, seed = item
        turn = int(np.random.default_rng(seed).integers(8))
        tile = np.rot90(self.images[index], turn % 4)
        tile = np.ascontiguousarray(tile[:, ::-1] if turn >= 4 else tile)
        labels = torch.from_numpy(self.labels[index].astype(np.float32))
        return torch.from_numpy(tile).permute(2, 0, 1), labels, torch.from_numpy(self.statistics[index])


def tile_examples(
    folder: Path, tiles: Sequence[Tile], classes: int, *, cache_bytes: int, max_side: int | None = None
) -> TileExamples:
    """Return the tiles of a folder as training examples.

    Args:
        tiles: see `wsss.data.tiles.tile_table`.
        classes: number K of foreground classes.
        cache_bytes, max_side: see `wsss.train.image_cache.cached_images`.

    Raises:
        InvalidInput: an image is invalid.
    """
    paths = [tile.path(folder) for tile in tiles]
    samples = [Sample(tile.id, path, tile.labels) for tile, path in zip(tiles, paths, strict=True)]
    statistics = np.array([(tile.mean, tile.std) for tile in tiles], np.float32)
    images = cached_images([sample.source for sample in samples], cache_bytes=cache_bytes, max_side=max_side)
    return TileExamples(images, label_targets(samples, classes), statistics)


def multilabel_loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
    """Return the multi-label soft margin loss (mean binary cross-entropy over classes and images).

    Args:
        model: a `wsss.models.classifier.CAMClassifier`.
        batch: images, labels (see `soft_margin`) and, for tiles, the statistics of their images.
    """
    images, labels, *statistics = batch
    return soft_margin(model(images, *statistics), labels)


def soft_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over known labels; 0 if all are unknown.

    Args:
        logits: ``(B, K)``.
        labels: ``(B, K)`` in [0, 1], or NaN for unknown.
    """
    known, targets = ~labels.isnan(), labels.nan_to_num(0.0)
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    over_known = (each * known).sum() / known.sum().clamp(min=1)
    # No branch on a value, which would have to be fetched from the device.
    return torch.where(known.all(), F.multilabel_soft_margin_loss(logits, targets), over_known)


@torch.no_grad()
def score_classifier(
    model: nn.Module, images: ArrayCache, labels: NDArray[np.float32], *, size: int
) -> MultilabelScores:
    """Score a classifier on whole images, each resized to an area of ``size``² pixels at its own aspect ratio.

    Args:
        model: images ``(1, 3, H, W)`` → logits ``(1, K)``.
        images: N images.
        labels: ``(N, K)``: 0, 1, or NaN for unknown.
        size: square root of the area.
    """

    device = next(model.parameters()).device
    rows = []
    for index in range(len(images)):
        image = images[index]
        factor = size / math.sqrt(image.shape[0] * image.shape[1])
        pixels = torch.from_numpy(resize(image, scaled_size(image.shape, factor))).permute(2, 0, 1)[None]
        rows.append(model(pixels.to(device))[0].sigmoid())  # fetched at the end: the next image is read meanwhile
    return multilabel_scores(torch.stack(rows).cpu().numpy(), labels)
