"""Settings that suit the number and the size of the images: what `wsss init` writes into a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PHOTO = 200
"""Images whose longer side (median, in pixels) is below are taken for tiles or thumbnails, and used as they are."""

USUAL = 500
"""Longer side of the photographs that crops and scales of the presets were chosen on (PASCAL VOC)."""

TRAIN = 1000
"""Longer side to which larger photographs are reduced when they are read for training: a decoded photograph of 12
megapixels takes as much memory as twenty of these."""

CRF = 1024
"""Longer side at which the dense CRF is computed."""

BATCH = 16


@dataclass(frozen=True)
class Recipe:
    """Settings of a pipeline.

    Args:
        batch: images per step.
        classify_epochs, sampler_epochs, segment_epochs: passes over the training images.
        small: the images are small and used as they are; else longer sides are brought to 170 to 430 px.
        classify_crop, segment_crop: side of the square crops in pixels, multiples of 32.
        scales: factors on the size of the images that the segmentation network is trained at.
        max_side: longer side in pixels that larger images are reduced to, for maps and predictions.
        crf_side: the same for the dense CRF, whose masks follow the edges of the full-size image.
        train_side: the same for training; ``None`` where no image is larger.
        train_scales: `scales` as factors on the size of the images that training reads.
    """

    batch: int
    classify_epochs: int
    sampler_epochs: int
    segment_epochs: int
    small: bool
    classify_crop: int
    segment_crop: int
    scales: tuple[float, float]
    max_side: int
    crf_side: int
    train_side: int | None
    train_scales: tuple[float, float]


def choose(images: int, sides: Sequence[int], *, pretrained: bool) -> Recipe:
    """Return settings for a training split.

    Networks with initial weights of ImageNet get about 300 steps as a classifier and 600 as a segmentation network
    (photographs of PASCAL VOC need no more), ones from random weights ten times and twice as many; large datasets get
    at least 5 and 10 passes, small ones at most 40 and 60 (from random weights 100).

    Args:
        images: number of training images, ≥ 1.
        sides: longer sides of the images in pixels.
        pretrained: the networks have initial weights.
    """
    batch = min(BATCH, 1 << max(1, images.bit_length() - 1))  # at least 2, and a power of 2 that the images fill
    steps_per_epoch = -(-images // batch)

    def epochs(steps: int, least: int, most: int) -> int:
        return max(least, min(most, round(steps / steps_per_epoch)))

    middle = sorted(sides)[len(sides) // 2]
    small = middle < PHOTO
    crop = max(32, middle // 32 * 32)

    def scales(usual: int) -> tuple[float, float]:
        factor = min(1.0, USUAL / usual)
        return (0.8, 1.25) if small else (_rounded(0.5 * factor), _rounded(1.25 * factor))

    return Recipe(
        batch=batch,
        classify_epochs=epochs(300, 5, 40) if pretrained else epochs(3000, 5, 100),
        sampler_epochs=epochs(150, 2, 10),
        segment_epochs=epochs(600, 10, 60) if pretrained else epochs(1200, 10, 100),
        small=small,
        classify_crop=min(crop, 224),
        segment_crop=min(crop, 256),
        scales=scales(middle),
        max_side=USUAL,
        crf_side=CRF,
        train_side=TRAIN if max(sides) > TRAIN else None,
        train_scales=scales(min(middle, TRAIN)),
    )


def _rounded(factor: float) -> float:
    return max(0.01, round(factor, 2))
